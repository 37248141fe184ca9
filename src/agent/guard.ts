// A set file that changes too much at once is held back: the old list stays.

import { subtractRanges, toPrefixes } from '../base/ranges.js';
import type { AddressRanges } from '../base/ranges.js';
import { allListRanges } from '../compile/addresses.js';
import type { Program } from '../compile/program.js';
import type { Policy } from '../policy/policy.js';
import type { SetSource } from '../policy/sets.js';

export interface Guard {
  /** Name of the set. */
  readonly set: string;
  /** Largest share of the loaded list that may be added or removed, 0.5 = 50%. */
  readonly share: number;
}

export interface Held {
  readonly set: string;
  readonly share: number;
  /** Prefixes in force, and how many the new version would add and remove. */
  readonly prefixes: number;
  readonly add: number;
  readonly remove: number;
}

const countOf = (ranges: AddressRanges): number => toPrefixes(ranges, 0).count;

/**
 * The policy with every guarded list that changes too much replaced by the list
 * in force. A list that is not loaded yet has nothing to be compared with.
 */
export function holdBack(
  policy: Policy,
  loaded: Program | null,
  guards: readonly Guard[],
): { readonly policy: Policy; readonly held: readonly Held[] } {
  if (loaded === null || guards.length === 0) return { policy, held: [] };
  const inForce = new Map(
    allListRanges(loaded.tables, loaded.names).map((ranges, index) => [
      loaded.names.lists[index],
      ranges,
    ]),
  );
  const held: Held[] = [];
  const lists = policy.lists.map((list) => {
    const guard = guards.find(({ set }) => set === list.name);
    const old = inForce.get(list.name);
    if (guard === undefined || old === undefined) return list;
    const judged = judge(guard, list.ranges, old);
    if (judged === null) return list;
    held.push(judged);
    return { ...list, ranges: old };
  });
  return held.length === 0 ? { policy, held } : { policy: { ...policy, lists }, held };
}

function judge(guard: Guard, wanted: AddressRanges, old: AddressRanges): Held | null {
  const prefixes = countOf(old);
  const add = countOf(subtractRanges(wanted, old));
  const remove = countOf(subtractRanges(old, wanted));
  if (prefixes === 0 || Math.max(add, remove) <= guard.share * prefixes) return null;
  return { set: guard.set, share: guard.share, prefixes, add, remove };
}

/** The guards that a policy file's sets declare. */
export function guardsOf(sets: readonly SetSource[]): Guard[] {
  return sets.flatMap(({ name, guard }) =>
    guard === undefined ? [] : [{ set: name, share: guard / 100 }],
  );
}
