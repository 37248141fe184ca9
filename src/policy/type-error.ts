// A value of the wrong type: what is needed, and how to write what was meant.

import { isItem, isPolicyList, lastKey, nameOf, writeExample, type Place } from './place.js';
import type { Report } from './report.js';
import { describe } from './tree.js';

const TYPES: Readonly<Record<string, string>> = {
  object: 'keys and values',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
};

/** Reports a list, text, number or map where something else is needed, or nothing at all. */
export function reportType(place: Place, report: Report): void {
  const { error, path, node } = place;
  const types = [error.params['type']].flat().map(String);
  const name = nameOf(place);
  const isScalar = node.kind === 'scalar';
  if (isScalar && node.value === null) {
    const at = place.entry?.at ?? node;
    return report('wrong-type', at, `${name} has no value`, writeExample(path));
  }
  const allowed = types.map((type) => TYPES[type] ?? type).join(' or ');
  const code = path.at(-1) === 'guard' ? 'set-guard' : 'wrong-type';
  report(code, node, `${name} must be ${allowed}, found ${describe(node)}`, typeFix(place, types));
}

function typeFix({ path, node }: Place, types: readonly string[]): string {
  const key = path.at(-1) ?? '';
  if (node.kind === 'scalar' && types.includes('boolean'))
    return `write ${key}: ${/^(yes|on|true)$/i.test(String(node.value)) ? 'true' : 'false'}`;
  if (node.kind === 'scalar' && key === 'guard') return writeExample(path);
  const isList = types.includes('array') && node.kind === 'scalar' && !types.includes('string');
  const isOfMaps = (path.length === 1 && isPolicyList(key)) || key === 'rules';
  if (isList && !types.includes('object') && !isOfMaps) return `write ${key}: [${node.source}]`;
  if (isList && path.length === 2) return `write ${key}: [${node.source}]`;
  const isColon =
    node.kind === 'map' &&
    [...node.entries.values()].some(({ value }) => value.kind === 'scalar' && value.value === null);
  if (isColon && types.includes('string'))
    return 'quote an address or text that has a colon at its end';
  if (node.kind === 'scalar' && isAddress(path))
    return 'write an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24';
  if (
    node.kind === 'scalar' &&
    types.length === 1 &&
    types[0] === 'string' &&
    ['name', 'file'].includes(key)
  )
    return `quote it: ${key}: "${node.source}"`;
  return writeExample(path);
}

function isAddress(path: readonly string[]): boolean {
  const { key } = lastKey(path);
  return (
    key === 'to' || key === 'from' || (path[0] === 'sets' && path.length === 3 && isItem(path))
  );
}

/** How to put an empty list right. */
export function emptyFix({ path }: Place): string {
  if (path[0] === 'interfaces' && path.length === 1)
    return 'write a policy of interfaces, or remove the key';
  if (path.length === 1) return 'write a policy, or run cgfw down to remove what is in force';
  return path.at(-1) === 'ports'
    ? 'remove the key to mean everything, or name ports'
    : writeExample(path);
}
