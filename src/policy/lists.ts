// The address lists that rules use, each once.

import { createHash } from 'node:crypto';
import type { AddressRanges } from '../base/ranges.js';
import type { AddressList } from './policy.js';
import type { NamedSet } from './sets.js';

/** Grows as rules are resolved: a set becomes a list when a rule names it first. */
export interface Lists {
  readonly all: readonly AddressList[];
  /** Index of the list of a named set. */
  ofSet(set: NamedSet): number;
  /** Index of the list of addresses written in a rule; equal ones are shared. */
  ofLiterals(name: string, ranges: AddressRanges): number;
  /** The set behind a list, if it is one. */
  setOf(index: number): NamedSet | undefined;
}

/** No lists yet. */
export function emptyLists(): Lists {
  const all: AddressList[] = [];
  const sets = new Map<NamedSet, number>();
  const literals = new Map<string, number>();
  const owners = new Map<number, NamedSet>();
  const note = <K>(known: Map<K, number>, key: K, list: AddressList): number => {
    const index = known.get(key) ?? all.push(list) - 1;
    known.set(key, index);
    return index;
  };
  return {
    all,
    ofSet: (set) => {
      const index = note(sets, set, { name: set.name, ranges: set.ranges });
      owners.set(index, set);
      return index;
    },
    ofLiterals: (name, ranges) => note(literals, contentKey(ranges), { name, ranges }),
    setOf: (index) => owners.get(index),
  };
}

function contentKey(ranges: AddressRanges): string {
  return createHash('sha256').update(ranges.v4).update('/').update(ranges.v6).digest('base64');
}
