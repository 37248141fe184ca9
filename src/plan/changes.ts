// What differs between two compiled policies, in the words of the policy file.

import { NO_ADDRESSES, subtractRanges, toPrefixes } from '../base/ranges.js';
import type { AddressRanges } from '../base/ranges.js';
import { rangesOfProgram } from '../compile/addresses.js';
import { policyOfRule } from '../compile/program.js';
import type { Names, Program, RuleName } from '../compile/program.js';

export interface Change {
  readonly op: 'add' | 'remove' | 'change';
  readonly kind: 'policy' | 'rule' | 'default' | 'order' | 'text' | 'address';
  /** `web`, `web egress#1`, `web egress default`, or a set's name. */
  readonly target: string;
  readonly before?: string;
  readonly after?: string;
  /** For addresses: how many prefixes this change stands for. */
  readonly count?: number;
}

/** Prefixes of one list named one by one; the rest is a single change with a count. */
const NAMED_PREFIXES = 20;

/** Changes that turn `loaded` into `desired`, sorted by target; [] when they say the same. */
export function changesBetween(desired: Program | null, loaded: Program | null): Change[] {
  const changes = [
    ...policyChanges(desired?.names, loaded?.names),
    ...ruleChanges(desired?.names, loaded?.names),
    ...addressChanges(desired, loaded),
  ];
  if (changes.length === 0 && desired?.text !== loaded?.text) {
    changes.push({ op: 'change', kind: 'text', target: 'policy text' });
  }
  return changes.sort(byTarget);
}

function byTarget(a: Change, b: Change): number {
  if (a.target !== b.target) return a.target < b.target ? -1 : 1;
  return (a.after ?? a.before ?? '') < (b.after ?? b.before ?? '') ? -1 : 1;
}

function policyChanges(desired: Names | undefined, loaded: Names | undefined): Change[] {
  const after = describePolicies(desired);
  const before = describePolicies(loaded);
  const changes: Change[] = [];
  for (const [name, text] of after) {
    const old = before.get(name);
    if (old === undefined) changes.push({ op: 'add', kind: 'policy', target: name, after: text });
    else if (old !== text)
      changes.push({ op: 'change', kind: 'policy', target: name, before: old, after: text });
  }
  for (const [name, text] of before) {
    if (!after.has(name))
      changes.push({ op: 'remove', kind: 'policy', target: name, before: text });
  }
  return changes;
}

/** What each policy is about, by its name in plans. */
function describePolicies(names: Names | undefined): Map<string, string> {
  const ofCgroups = (names?.policies ?? []).map(
    ({ name, mode, cgroups, accelerate }) =>
      [name, `${mode}${accelerate ? ', accelerate' : ''} for ${cgroups.join(', ')}`] as const,
  );
  const ofInterfaces = (names?.interfaces ?? []).map(
    ({ name, attach, interfaces }) =>
      [`interface ${name}`, `${attach} for ${interfaces.join(', ')}`] as const,
  );
  return new Map([...ofCgroups, ...ofInterfaces]);
}

interface PlacedRule extends RuleName {
  readonly place: string;
}

function placedRules(names: Names | undefined): PlacedRule[] {
  if (names === undefined) return [];
  return names.rules
    .filter((rule) => rule.kind === 'rule' || rule.kind === 'default' || rule.kind === 'raw')
    .map((rule) => ({ ...rule, place: placeOf(names, rule) }));
}

function placeOf(names: Names, rule: RuleName): string {
  const owner = policyOfRule(names, rule);
  const policy = `${owner?.kind === 'interface' ? 'interface ' : ''}${owner?.name ?? '?'}`;
  if (rule.kind === 'rule') return `${policy} ${rule.direction}#${String(rule.index)}`;
  if (rule.kind === 'default') return `${policy} ${rule.direction} default`;
  return `${policy} raw sockets`;
}

function describeRule(rule: RuleName): string {
  const name = rule.name === String(rule.index) || rule.kind !== 'rule' ? '' : `${rule.name}: `;
  return `${name}${rule.summary}, log ${rule.log}`;
}

function ruleChanges(desired: Names | undefined, loaded: Names | undefined): Change[] {
  const after = placedRules(desired);
  const before = placedRules(loaded);
  const oldByKey = new Map(before.map((rule) => [rule.key, rule]));
  const newKeys = new Set(after.map((rule) => rule.key));
  const gone = new Map(
    before.filter((rule) => !newKeys.has(rule.key)).map((rule) => [rule.place, rule]),
  );
  const changes: Change[] = [];
  for (const rule of after) {
    const old = oldByKey.get(rule.key) ?? gone.get(rule.place);
    const text = describeRule(rule);
    if (old === undefined) {
      changes.push({ op: 'add', kind: kindOf(rule), target: rule.place, after: text });
      continue;
    }
    gone.delete(old.place);
    if (describeRule(old) !== text) {
      changes.push({
        op: 'change',
        kind: kindOf(rule),
        target: rule.place,
        before: describeRule(old),
        after: text,
      });
    }
  }
  for (const rule of gone.values()) {
    changes.push({
      op: 'remove',
      kind: kindOf(rule),
      target: rule.place,
      before: describeRule(rule),
    });
  }
  return [...changes, ...orderChanges(after, before, newKeys)];
}

function kindOf(rule: RuleName): 'rule' | 'default' {
  return rule.kind === 'rule' ? 'rule' : 'default';
}

/** Directions whose surviving rules stand in another order. */
function orderChanges(
  after: readonly PlacedRule[],
  before: readonly PlacedRule[],
  newKeys: ReadonlySet<string>,
): Change[] {
  const oldKeys = new Set(before.map((rule) => rule.key));
  const sequence = (
    rules: readonly PlacedRule[],
    known: ReadonlySet<string>,
  ): Map<string, string[]> => {
    const byDirection = new Map<string, string[]>();
    for (const rule of rules) {
      if (rule.kind !== 'rule' || !known.has(rule.key)) continue;
      const direction = rule.place.slice(0, rule.place.lastIndexOf('#'));
      byDirection.set(direction, [...(byDirection.get(direction) ?? []), rule.key]);
    }
    return byDirection;
  };
  const old = sequence(before, newKeys);
  const changes: Change[] = [];
  for (const [direction, keys] of sequence(after, oldKeys)) {
    const previous = old.get(direction);
    if (previous !== undefined && previous.join('\n') !== keys.join('\n')) {
      changes.push({
        op: 'change',
        kind: 'order',
        target: direction,
        after: 'rules in another order',
      });
    }
  }
  return changes;
}

function rangesByName(program: Program | null): Map<string, AddressRanges> {
  if (program === null) return new Map();
  const ranges = rangesOfProgram(program);
  return new Map(program.names.lists.map((name, index) => [name, ranges[index] ?? NO_ADDRESSES]));
}

function addressChanges(desired: Program | null, loaded: Program | null): Change[] {
  const after = rangesByName(desired);
  const before = rangesByName(loaded);
  const changes: Change[] = [];
  for (const name of new Set([...after.keys(), ...before.keys()])) {
    const now = after.get(name) ?? NO_ADDRESSES;
    const then = before.get(name) ?? NO_ADDRESSES;
    changes.push(...nameAddresses('add', name, subtractRanges(now, then)));
    changes.push(...nameAddresses('remove', name, subtractRanges(then, now)));
  }
  return changes;
}

function nameAddresses(op: 'add' | 'remove', list: string, ranges: AddressRanges): Change[] {
  const { prefixes, count } = toPrefixes(ranges, NAMED_PREFIXES);
  const side = op === 'add' ? 'after' : 'before';
  const changes: Change[] = prefixes.map((prefix) => ({
    op,
    kind: 'address',
    target: list,
    [side]: prefix,
    count: 1,
  }));
  const rest = count - prefixes.length;
  if (rest > 0) {
    changes.push({
      op,
      kind: 'address',
      target: list,
      [side]: `${String(rest)} more prefixes`,
      count: rest,
    });
  }
  return changes;
}
