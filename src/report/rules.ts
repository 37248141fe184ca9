// Rules with their counters, as `cgfw status` shows them. Pure.

import type { Names, RuleName } from '../compile/program.js';

export interface StatusRule {
  readonly direction: string;
  readonly index: number;
  readonly name: string;
  readonly action: string;
  readonly line: number;
  readonly packets: number;
  readonly bytes: number;
}

/** By counter. */
export type Counts = ReadonlyMap<number, { readonly packets: number; readonly bytes: number }>;

/** The rules of one policy (RuleName.policy); what is not written in the file only once it has counted. */
export function statusRules({ rules }: Names, policy: number, counts: Counts): StatusRule[] {
  const countOf = ({ counter }: RuleName): { packets: number; bytes: number } =>
    counts.get(counter) ?? { packets: 0, bytes: 0 };
  return rules
    .filter((rule) => rule.policy === policy)
    .filter((rule) => rule.kind === 'rule' || rule.kind === 'default' || countOf(rule).packets > 0)
    .map((rule) => ({
      direction: rule.direction,
      index: rule.index,
      name: rule.name,
      action: rule.action,
      line: rule.line,
      ...countOf(rule),
    }));
}

/** One line each, for people. */
export function renderRules(statusRules: readonly StatusRule[]): string[] {
  const rules = statusRules.map((rule) => ({ ...rule, place: `${rule.direction}#${rule.name}` }));
  const width = Math.max(10, ...rules.map(({ place }) => place.length));
  return rules.map(
    ({ place, action, packets, bytes }) =>
      `  ${place.padEnd(width)}  ${action.padEnd(6)}  ${String(packets).padStart(10)} packets  ${String(bytes).padStart(12)} bytes`,
  );
}
