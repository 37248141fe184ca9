// From loaded tables back to the address lists that they were made of.

import type { AddressRanges } from '../base/ranges.js';
import { grownU32 } from './growing.js';
import { LINE_LASTS, LINE_WORDS, NO_LAST, ROOTS6 } from './layout.js';
import { lineRange } from './lines6.js';
import type { Names, Program } from './program.js';
import { readEntry } from './roots.js';
import type { Tables } from './tables.js';
import { withBits } from './upper.js';

/**
 * The exact ranges of one list, canonical: what compile() was given. Walks all
 * ranges of the tables once; for many lists use allListRanges.
 */
export function listRanges(tables: Tables, names: Names, list: number): AddressRanges {
  const isMember = Uint8Array.from(names.classes, (lists) => (lists.includes(list) ? 1 : 0));
  const v4 = new RangeList(1);
  const v6 = new RangeList(4);
  walk4(tables, (start, id) => v4.turn(isMember[id]!, start));
  walk6(tables, (start, id) => v6.turn(isMember[id]!, start));
  return { v4: v4.finished(), v6: v6.finished() };
}

/** The ranges of all lists, by index, in one walk. */
export function allListRanges(tables: Tables, names: Names): AddressRanges[] {
  const v4 = names.lists.map(() => new RangeList(1));
  const v6 = names.lists.map(() => new RangeList(4));
  walk4(tables, turnAll(names.classes, v4));
  walk6(tables, turnAll(names.classes, v6));
  return v4.map((ranges, list) => ({ v4: ranges.finished(), v6: v6[list]!.finished() }));
}

/** At each boundary closes the lists that end there and opens those that begin. */
function turnAll(classes: Names['classes'], ranges: readonly RangeList[]): Visit {
  let current: readonly number[] = [];
  let currentId = 0;
  return (start, id) => {
    if (id === currentId) return;
    const next = classes[id]!;
    for (const list of current) if (!isIn(next, list)) ranges[list]!.turn(0, start);
    for (const list of next) ranges[list]!.turn(1, start);
    current = next;
    currentId = id;
  };
}

/** Binary search in ascending lists. */
function isIn(lists: readonly number[], list: number): boolean {
  let low = 0;
  for (let high = lists.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (lists[middle]! < list) low = middle + 1;
    else high = middle;
  }
  return lists[low] === list;
}

/** Called at each boundary in ascending order; `start` is overwritten afterwards. */
type Visit = (start: Uint32Array, id: number) => void;

function walk4({ roots, ranges4 }: Tables, visit: Visit): void {
  const start = new Uint32Array(1);
  const walkEntry = (place: number, base: number): void => {
    const entry = readEntry(roots, place);
    if (entry.kind === 'node') {
      const step = 65536 >>> entry.width;
      for (let i = 0; i < 1 << entry.width; i++) walkEntry(entry.first + i, base + i * step);
    } else if (entry.kind === 'class') {
      start[0] = base;
      visit(start, entry.id);
    } else if (entry.kind === 'ranges') {
      for (let at = entry.first; at < entry.first + entry.count; at++) {
        start[0] = (base & 0xffff0000) | (ranges4[at]! >>> 16);
        visit(start, ranges4[at]! & 0xffff);
      }
    }
  };
  for (let root = 0; root < ROOTS6; root++) walkEntry(root, root * 65536);
}

function walk6({ roots, ranges4, ranges6 }: Tables, visit: Visit): void {
  const start = new Uint32Array(4);
  const visitUpper = (high: number, low: number, id: number): void => {
    start[0] = high;
    start[1] = low;
    start[2] = start[3] = 0;
    visit(start, id);
  };
  const walkLong = (range: number): void => {
    const high = ranges6[range * 4 + 1]!;
    const low = ranges6[range * 4]!;
    const value = ranges6[range * 4 + 2]!;
    const count = ranges6[range * 4 + 3]!;
    if (count === 0) visitUpper(high, low, value);
    start[0] = high;
    start[1] = low;
    for (let lower = value; lower < value + count; lower++) {
      start[2] = ranges6[lower * 4 + 1]!;
      start[3] = ranges6[lower * 4]!;
      visit(start, ranges6[lower * 4 + 2]!);
    }
  };
  const walkLine = (at: number, bits: number, high: number, low: number, begin: number): void => {
    for (let range = 0; range <= LINE_LASTS; range++) {
      const last = range === 0 ? begin - 1 : ranges4[at + range - 1]!;
      if (last === NO_LAST) return;
      const value = lineRange(ranges4, at, range);
      if (value.kind === 'long') walkLong(value.index);
      else visitUpper(...withKey(high, low, bits, last + 1), value.id);
    }
  };
  const walkEntry = (place: number, bits: number, high: number, low: number): void => {
    const entry = readEntry(roots, place);
    if (entry.kind === 'node') {
      const { first, width, skip, common, places } = entry;
      const size = 1 << width;
      const outer = first + size * places;
      const at = bits + skip;
      // What lies below the common bits and above them, where there is anything.
      if (common > 0) walkEntry(outer, bits, high, low);
      const base = withBits(high, low, bits, skip, common);
      for (let i = 0; i < size; i++) {
        walkEntry(first + i * places, at + width, ...withBits(base[0], base[1], at, width, i));
      }
      if (common < (1 << skip) - 1)
        walkEntry(outer + 1, bits, ...withBits(high, low, bits, skip, common + 1));
    } else if (entry.kind === 'class') {
      visitUpper(high, low, entry.id);
    } else if (entry.kind === 'ranges') {
      for (let range = entry.first; range < entry.first + entry.count; range++) walkLong(range);
    } else {
      for (let line = 0; line < entry.count; line++) {
        const begin = line === 0 ? 0 : roots[entry.lasts + line - 1]! + 1;
        walkLine((entry.first + line) * LINE_WORDS, bits, high, low, begin);
      }
    }
  };
  for (let root = 0; root < 65536; root++) walkEntry(ROOTS6 + root, 16, (root << 16) >>> 0, 0);
}

/** The upper half that begins with the first `bits` of another and goes on with these 32. */
function withKey(
  high: number,
  low: number,
  bits: number,
  key: number,
): [high: number, low: number] {
  const half = withBits(high, low, bits, Math.min(16, 64 - bits), key >>> Math.max(16, bits - 32));
  if (bits >= 48) return half;
  const rest = Math.min(16, 48 - bits);
  return withBits(half[0], half[1], bits + 16, rest, (key & 0xffff) >>> (16 - rest));
}

/** Ranges that grow at the end: opened at one boundary, closed before a later one. */
class RangeList {
  private words: Uint32Array<ArrayBuffer>;
  private readonly size: number;
  private length = 0;
  private isOpen = 0;

  /** `size` words an address. */
  constructor(size: number) {
    this.size = size;
    this.words = new Uint32Array(size * 4);
  }

  /** From this address on, the list holds (1) or does not hold (0) what follows. */
  turn(isMember: number, start: Uint32Array): void {
    if (isMember === this.isOpen) return;
    this.isOpen = isMember;
    const { size, length } = this;
    this.words = grownU32(this.words, length + size);
    let borrow = 1 - isMember;
    for (let word = size - 1; word >= 0; word--) {
      this.words[length + word] = start[word]! - borrow;
      borrow = start[word]! < borrow ? 1 : 0;
    }
    this.length += size;
  }

  finished(): Uint32Array {
    const { size, length } = this;
    if (this.isOpen === 0) return this.words.slice(0, length);
    const words = grownU32(this.words, length + size);
    words.fill(0xffffffff, length, length + size);
    return words.slice(0, length + size);
  }
}

const known = new WeakMap<Program, readonly AddressRanges[]>();

/** As allListRanges; rebuilt once for each program, or never where the compiler said them. */
export function rangesOfProgram(program: Program): readonly AddressRanges[] {
  const ranges = known.get(program) ?? allListRanges(program.tables, program.names);
  known.set(program, ranges);
  return ranges;
}

/** Spares the rebuild for a program that was compiled here. */
export function rememberRanges(program: Program, ranges: readonly AddressRanges[]): void {
  known.set(program, ranges);
}
