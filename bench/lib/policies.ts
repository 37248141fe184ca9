// The policies that are measured, as users would write them.

import {
  CROWDED,
  FREE_PORT,
  linesOf4,
  rules as generateRules,
  textOf6,
  prefixes6,
} from '../generate.js';
import type { GeneratedRule } from '../generate.js';
import { policyText } from './cgfw.js';
import { dataFile, listOf, netsetFile, SEED } from './data.js';

/**
 * Which directions have rules. In egress or ingress alone no reply can be denied,
 * so nothing is remembered; blocklist: both, allowed by default; stateful: both,
 * and ingress is denied by default.
 */
export type Mode = 'egress' | 'ingress' | 'blocklist' | 'stateful';

export interface Shape {
  /** Prefixes in the list of what is denied; 0 = no list. */
  readonly prefixes: number;
  /** Ordered ClassBench-like rules; 0 = none. With ingress as well, ingress has none of them. */
  readonly rules: number;
  readonly state: Mode;
  readonly family?: 4 | 6;
  readonly log?: 'none' | 'denied' | 'all';
  /** What is denied in egress: silently, or told to the sender. */
  readonly deny?: 'drop' | 'reject';
}

/** Egress and ingress of a policy of this shape, for the cgroups of one selector. */
export function policyOf(cgroups: readonly string[], shape: Shape, name = 'web'): object {
  const log = shape.log ?? 'none';
  const deny = shape.deny ?? 'drop';
  const own = generateRules(SEED, shape.rules);
  const ingressRules = shape.state === 'ingress' ? own : [];
  const side = (
    key: 'to' | 'from',
    action: string,
    ordered: readonly GeneratedRule[],
  ): object[] => [
    ...(shape.prefixes > 0 ? [{ action, [key]: 'feed' }] : []),
    ...ordered.map((rule) => ({
      action: rule.action,
      [key]: rule.prefix ?? 'any',
      ports: [`${String(rule.ports[0])}-${String(rule.ports[1])}/${rule.protocol}`],
    })),
  ];
  return {
    name,
    cgroups,
    log,
    ...directions(shape.state, side('to', deny, own), side('from', 'drop', ingressRules)),
  };
}

function directions(state: Mode, egress: readonly object[], ingress: readonly object[]): object {
  const open = { action: 'allow', from: 'any', ports: [FREE_PORT] };
  return {
    ...(state === 'ingress' ? {} : { egress: { default: 'allow', rules: egress } }),
    ...(state === 'ingress' || state === 'blocklist'
      ? { ingress: { default: 'allow', rules: ingress } }
      : {}),
    ...(state === 'stateful' ? { ingress: { default: 'drop', rules: [...ingress, open] } } : {}),
  };
}

/** The whole policy text, and its list beside it when there is one. */
export function textOf(cgroups: readonly string[], shape: Shape): string {
  const sets = shape.prefixes > 0 ? { sets: { feed: { file: setFile(shape) } } } : {};
  return policyText([policyOf(cgroups, shape)], sets);
}

/** The list of a shape as a set file. */
export function setFile({ prefixes, family }: Pick<Shape, 'prefixes' | 'family'>): string {
  if (family !== 6) return netsetFile(prefixes);
  return dataFile(
    `${String(prefixes)}.netset6`,
    () => `${prefixes6(SEED, prefixes).map(textOf6).join('\n')}\n`,
  );
}

/** One rule with an address and a port: nothing is left out of the decision. */
export function oneRuleText(cgroups: readonly string[], state: Mode): string {
  const [prefix = ''] = linesOf4(listOf(1));
  const side = (key: 'to' | 'from'): object => ({
    action: 'drop',
    [key]: [prefix, '2001:db8::/32'],
    ports: [`${String(CROWDED.port)}/tcp`, '53/udp'],
  });
  return policyText([
    { name: 'web', cgroups, log: 'none', ...directions(state, [side('to')], [side('from')]) },
  ]);
}
