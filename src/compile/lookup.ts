// The kernel's decision, step by step, over tables in user space.

import type { DirectionName } from '../policy/policy.js';
import {
  CELL_BASE,
  COL_BASE,
  COLS,
  DIRECTION_FLAGS,
  DIRECTION_OFFSET,
  DIRECTION_ONE_COLUMN,
  DIRECTION_ONE_ROW,
  LINE_LASTS,
  LINE_WORDS,
  POLICY_WORDS,
  ROOTS6,
  ROW_BASE,
  RULE_BASE,
} from './layout.js';
import { readEntry, type Entry } from './roots.js';
import { lineRange } from './lines6.js';
import type { Tables } from './tables.js';
import { bitsAt, wordAt } from './upper.js';

type Ranges = Extract<Entry, { kind: 'ranges' }>;
type Lines = Extract<Entry, { kind: 'lines' }>;

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
  const flags = policies[at + DIRECTION_FLAGS]!;
  const cell = cells[policies[at + CELL_BASE]! + row * policies[at + COLS]! + col]!;
  const isByRow = (flags & DIRECTION_ONE_COLUMN) !== 0;
  const isByColumn = (flags & DIRECTION_ONE_ROW) !== 0;
  return policies[at + RULE_BASE]! + (isByRow ? row : isByColumn ? col : cell);
}

function classOf4({ roots, ranges4 }: Tables, address: number): number {
  const low = address & 0xffff;
  let entry = readEntry(roots, address >>> 16);
  if (entry.kind === 'node') entry = readEntry(roots, entry.first + (low >>> (16 - entry.width)));
  if (entry.kind === 'class') return entry.id;
  const { first, count } = entry as Ranges;
  return ranges4[lastNotAbove(first, count, (at) => ranges4[at]! >>> 16 <= low)]! & 0xffff;
}

function classOf6(tables: Tables, words: AddressWords): number {
  const { roots, ranges6 } = tables;
  const high = words[0]!;
  const low = words[1]!;
  let entry = readEntry(roots, ROOTS6 + (high >>> 16));
  let bits = 16;
  while (entry.kind === 'node') {
    const { first, width, skip, common, places } = entry;
    const skipped = bitsAt(high, low, bits, skip);
    const index =
      skipped === common
        ? bitsAt(high, low, bits + skip, width) * places
        : 2 ** width * places + (skipped > common ? 1 : 0);
    entry = readEntry(roots, first + index);
    bits += skip + width;
  }
  if (entry.kind === 'class') return entry.id;
  if (entry.kind === 'ranges') return classOfLong(ranges6, entry.first, entry.count, words);
  const value = valueOf(tables, entry, wordAt(high, low, bits));
  return value.kind === 'class' ? value.id : classOfLong(ranges6, value.index, 1, words);
}

function valueOf({ roots, ranges4 }: Tables, { first, count, lasts }: Lines, key: number) {
  const line = (first + below(roots, lasts, count - 1, key)) * LINE_WORDS;
  const range = below(ranges4, line, LINE_LASTS, key);
  return lineRange(ranges4, line, range);
}

/** How many of `count` ascending words are below a key. */
function below(words: Uint32Array, from: number, count: number, key: number): number {
  let found = 0;
  while (found < count && words[from + found]! < key) found++;
  return found;
}

function classOfLong(
  ranges6: Uint32Array,
  first: number,
  count: number,
  words: AddressWords,
): number {
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
