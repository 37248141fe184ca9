// The kernel's decision, step by step, over tables in user space.

import type { DirectionName } from '../policy/policy.js';
import {
  CELL_BASE,
  COL_BASE,
  COLS,
  DIRECTION_OFFSET,
  POLICY_WORDS,
  ROOT_NODE,
  ROOTS6,
  ROW_BASE,
  RULE_BASE,
} from './layout.js';
import { nodeEntry } from './roots.js';
import type { Tables } from './tables.js';

export type Family = 4 | 6;

/** Host-order words, most significant first; an IPv4 address uses word 0 alone. */
export type AddressWords = ArrayLike<number>;

/** The class of an address, found as the head comment of bpf/abi.h says. */
export function classOf(tables: Tables, family: Family, words: AddressWords): number {
  return family === 4 ? classOf4(tables, words[0]!) : classOf6(tables, words);
}

/**
 * The rule (absolute index in the rules table) that decides for a packet with
 * this remote address and service point. `policyIndex` counts from 1, as in the
 * policies table.
 */
export function verdictOf(
  tables: Tables,
  policyIndex: number,
  direction: DirectionName,
  family: Family,
  words: AddressWords,
  point: number,
): number {
  const { policies, cells } = tables;
  const at = policyIndex * POLICY_WORDS + DIRECTION_OFFSET[direction];
  const row = cells[policies[at + ROW_BASE]! + classOf(tables, family, words)]!;
  const col = cells[policies[at + COL_BASE]! + tables.services[point]!]!;
  const cell = cells[policies[at + CELL_BASE]! + row * policies[at + COLS]! + col]!;
  return policies[at + RULE_BASE]! + cell;
}

function classOf4({ roots, ranges4 }: Tables, address: number): number {
  let entry = address >>> 16;
  if (roots[entry * 2 + 1] === ROOT_NODE)
    entry = nodeEntry(roots[entry * 2]!, (address >>> 8) & 255);
  const first = roots[entry * 2]!;
  const count = roots[entry * 2 + 1]!;
  if (count === 0) return first;
  const low = address & 0xffff;
  return ranges4[lastNotAbove(first, count, (at) => ranges4[at]! >>> 16 <= low)]! & 0xffff;
}

function classOf6({ roots, ranges6 }: Tables, words: AddressWords): number {
  let entry = ROOTS6 + (words[0]! >>> 16);
  for (let bits = 16; roots[entry * 2 + 1] === ROOT_NODE; bits += 8) {
    const index = (words[bits >> 5]! >>> (24 - (bits & 31))) & 255;
    entry = nodeEntry(roots[entry * 2]!, index);
  }
  const first = roots[entry * 2]!;
  const count = roots[entry * 2 + 1]!;
  if (count === 0) return first;
  const upper = lastNotAbove(first, count, (at) =>
    isStartAtMost(ranges6, at, words[0]!, words[1]!),
  );
  const value = ranges6[upper * 4 + 2]!;
  const lowerCount = ranges6[upper * 4 + 3]!;
  if (lowerCount === 0) return value;
  const lower = lastNotAbove(value, lowerCount, (at) =>
    isStartAtMost(ranges6, at, words[2]!, words[3]!),
  );
  return ranges6[lower * 4 + 2]!;
}

function isStartAtMost(ranges6: Uint32Array, at: number, high: number, low: number): boolean {
  const startHigh = ranges6[at * 4 + 1]!;
  return startHigh === high ? ranges6[at * 4]! <= low : startHigh < high;
}

/** The last of `count` entries from `first` for which the claim holds; it holds for the first. */
function lastNotAbove(first: number, count: number, isAtMost: (at: number) => boolean): number {
  let low = first;
  for (let high = first + count; high - low > 1;) {
    const middle = (low + high) >>> 1;
    if (isAtMost(middle)) low = middle;
    else high = middle;
  }
  return low;
}
