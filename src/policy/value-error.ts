// A value of the right type that is not allowed, and names that are none.

import { nearest, quote } from '../base/suggest.js';
import { writeExample, type Place } from './place.js';
import type { Report } from './report.js';
import { describe } from './tree.js';

/** Reports a word that is not one of those allowed. */
export function reportEnum(place: Place, report: Report): void {
  const { path, node, error } = place;
  const word = node.kind === 'scalar' ? String(node.value) : '';
  const allowed = [error.params['allowedValues']].flat().map(String);
  const key = path.at(-1) ?? '';
  if (word === 'reject' && path.includes('ingress')) {
    return report(
      'reject-ingress',
      node,
      'reject is not possible for ingress: the sender is another host',
      `write ${key}: drop`,
    );
  }
  const near = nearest(word, allowed) ?? SYNONYMS[word.toLowerCase()];
  const fix =
    near !== undefined && allowed.includes(near) ? `did you mean ${near}?` : writeExample(path);
  report('wrong-value', node, `${key} cannot be ${quote(word)}: ${listed(allowed)}`, fix);
}

const SYNONYMS: Readonly<Record<string, string>> = {
  accept: 'allow',
  permit: 'allow',
  pass: 'allow',
  deny: 'drop',
  block: 'drop',
  refuse: 'reject',
  off: 'none',
  never: 'none',
  no: 'none',
  yes: 'denied',
  always: 'all',
  monitor: 'audit',
  'dry-run': 'audit',
};

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** Reports another version. */
export function reportConst({ node }: Place, report: Report): void {
  report('wrong-value', node, `version must be 1, found ${describe(node)}`, 'write version: 1');
}

/** Reports a name, guard or path that is not written as one. */
export function reportPattern(place: Place, report: Report): void {
  const { node, path } = place;
  if (node.kind !== 'scalar') return undefined;
  const key = path.at(-1) ?? '';
  const found = quote(String(node.value));
  if (key === 'guard') {
    return report(
      'set-guard',
      node,
      `guard must be a share from 1% to 100%, found ${found}`,
      writeExample(path),
    );
  }
  if (key === 'file')
    return report('wrong-value', node, `file must be a path, found ${found}`, writeExample(path));
  report(
    'wrong-value',
    node,
    `the name ${found} is not allowed: ${NAME_RULE}`,
    nameFix(String(node.value)),
  );
}

const NAME_RULE = 'a name has 1 to 63 letters, digits, dots, underscores and hyphens';

/** Reports the name of a set or service that is not written as one. */
export function reportName(place: Place, name: string, report: Report): void {
  const at = place.node.kind === 'map' ? place.node.entries.get(name)?.at : undefined;
  report(
    'wrong-value',
    at ?? place.node,
    `the name ${quote(name)} is not allowed: ${NAME_RULE}`,
    nameFix(name),
  );
}

function nameFix(name: string): string {
  const fixed = name
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
  return fixed === '' ? 'choose a name such as web' : `write, for example, ${fixed}`;
}
