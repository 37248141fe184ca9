// Keys that are not known, and keys that are not there.

import type { Span } from '../base/source.js';
import { nearest, quote } from '../base/suggest.js';
import { exampleOf, nameOf, ownerOf, type Place } from './place.js';
import type { Report } from './report.js';
import { KEYS } from './schema.gen.js';
import { child } from './tree.js';

/** Reports a key that must be there, unless an unknown key was meant to be it. */
export function reportMissing(place: Place, meant: ReadonlySet<string>, report: Report): void {
  const { path, node, error } = place;
  const key = String(error.params['missingProperty']);
  if (meant.has(`${error.instancePath}/${key}`)) return undefined;
  const fix = `add ${exampleOf([...path, key]) ?? key}`;
  report('missing-key', place.entry?.at ?? node, `${nameOf(place)} has no key ${key}`, fix);
}

/** An unknown key that stands for a missing one makes that one no second mistake. */
export function reportUnknownKey(place: Place, meant: Set<string>, report: Report): void {
  const { error, path, node } = place;
  const key = String(error.params['additionalProperty']);
  const at = (node.kind === 'map' ? node.entries.get(key)?.at : undefined) ?? node;
  const owner = ownerOf(path);
  const free = (KEYS[owner] ?? []).filter((known) => child(node, known) === undefined);
  if (owner === 'interface' && key === 'egress') return reportEgress(place, at, report);
  const near = OTHERS[`${owner}.${key}`] ?? nearest(key, free);
  if (near !== undefined) meant.add(`${error.instancePath}/${near}`);
  const home = Object.keys(KEYS).filter((other) => KEYS[other]?.includes(key));
  const [first] = home;
  const fix =
    key === 'from' && near === 'to'
      ? 'write to: an egress rule says where packets go to'
      : key === 'to' && near === 'from'
        ? 'write from: an ingress rule says where packets come from'
        : near !== undefined
          ? `did you mean ${near}?`
          : first !== undefined
            ? `${key} is a key of ${HOMES[first]}`
            : `allowed here: ${(KEYS[owner] ?? []).join(', ')}`;
  report('unknown-key', at, `the key ${quote(key)} is not known in ${nameOf(place)}`, fix);
}

/** XDP sees only what arrives. */
function reportEgress(place: Place, at: Span, report: Report): void {
  report(
    'unknown-key',
    at,
    `the key "egress" is not known in ${nameOf(place)}: only what arrives can be decided there`,
    'remove it, or write it in a policy of cgroups',
  );
}

const OTHERS: Readonly<Record<string, string>> = {
  'egressRule.from': 'to',
  'ingressRule.to': 'from',
  'egressRule.port': 'ports',
  'ingressRule.port': 'ports',
  'policy.cgroup': 'cgroups',
  'policy.selector': 'cgroups',
  'policy.selectors': 'cgroups',
  'interface.interface': 'interfaces',
  'interface.device': 'interfaces',
  'interface.devices': 'interfaces',
  'interface.mode': 'attach',
  'interface.input': 'ingress',
  'interface.inbound': 'ingress',
  '.interface': 'interfaces',
  '.policy': 'policies',
  '.set': 'sets',
  'policy.output': 'egress',
  'policy.input': 'ingress',
  'policy.outbound': 'egress',
  'policy.inbound': 'ingress',
  'egress.policy': 'default',
  'ingress.policy': 'default',
  'egress.action': 'default',
  'ingress.action': 'default',
  'egressRule.verdict': 'action',
  'ingressRule.verdict': 'action',
  'egressRule.service': 'ports',
  'ingressRule.service': 'ports',
};

const HOMES: Readonly<Record<string, string>> = {
  '': 'the document',
  set: 'a set',
  policy: 'a policy',
  interface: 'a policy of interfaces',
  egress: 'egress or ingress',
  ingress: 'ingress',
  egressRule: 'a rule',
  ingressRule: 'a rule of ingress',
};
