// IPv6: a root for each /16, nodes below it where crowded, up to bit 64.

import type { Segments } from './classes.js';
import { grownU32 } from './growing.js';
import { NO_LAST, NODE_LEVELS6, ROOT_LINES, WIDE_LASTS, WIDE_PLACES } from './layout.js';
import { figure, MAX_LOWER_RANGES, tooBig } from './limits.js';
import { LINE_RANGES, LineTable } from './lines6.js';
import type { RootTable } from './roots.js';
import {
  bitsAt,
  commonBits,
  isLastAfter,
  successor,
  UPPER_BITS,
  withBits,
  wordAt,
} from './upper.js';

/** Lines of a chunk, at most: a wide entry tells them apart. */
const MAX_LINES = WIDE_LASTS + 1;
/** A chunk with more ranges than this becomes a node. */
const CROWDED = MAX_LINES * LINE_RANGES;
/** A node divides its ranges so that about this share of what is crowded is left for each entry. */
const FULL = 0.7;
/** So few ranges that cannot be told apart by 32 bits are searched by 64, without a node. */
const FEW_LONG = 4;
/** Entries of nodes for IPv6: 32 MiB. */
const MAX_ENTRIES = 1 << 22;
const ROOT_BITS = 16;
/** Allocations are /32: a node above that has so many bits at least, to tell sites apart at once. */
const SITE_BITS = 32;
const SITES_WIDTH = 4;
const MAX_WIDTH = 8;
const MAX_SKIP = 16;

/** A node that only makes its one entry wide. */
const WIDENING = { width: 0, skip: 0, common: 0, isWide: true };

export interface Ranges6 {
  readonly lines: Uint32Array;
  readonly ranges6: Uint32Array;
}

/**
 * Appends nodes to `roots` and gives the ranges; lines stand from `linesBase` on.
 * Should the nodes have more than MAX_ENTRIES, the measure of crowded is raised
 * fourfold until they are few enough. Then a node's chunk has more than half that
 * many ranges, a range makes at most two, each lies under at most eight nodes,
 * and a node has at most 258 entries, each of up to eight places: so with n
 * ranges a chunk never has more than max(91, n / 15) of them.
 */
export function buildRanges6(
  segments: Segments,
  roots: RootTable,
  rootsBase: number,
  linesBase: number,
): Ranges6 {
  const before = roots.entries;
  const chunks = new Chunks(segments, roots, before + MAX_ENTRIES, linesBase);
  for (let crowded = CROWDED; !chunks.addRoots(rootsBase, crowded); crowded *= 4) {
    roots.truncate(before);
  }
  return chunks.finished();
}

/** The segments from..to, of which the first may begin earlier, below the first `bits` of (high, low). */
interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly bits: number;
  readonly high: number;
  readonly low: number;
  /** Nodes above it. */
  readonly level: number;
}

class Chunks {
  private readonly starts: Uint32Array;
  private readonly classes: Uint16Array;
  private readonly roots: RootTable;
  private readonly maxEntries: number;
  private readonly lines: LineTable;
  private crowded = 0;
  /** Ranges that are searched by 64 bits, at most, where a node could divide them. */
  private fewLong = 0;
  private ranges: Uint32Array<ArrayBuffer>;
  private count = 0;
  private readonly lasts = new Uint32Array(WIDE_LASTS);
  /** Entries of the chunk at hand, four words each, before they are appended. */
  private leaf = new Uint32Array(0);
  private leafCount = 0;

  constructor(segments: Segments, roots: RootTable, maxEntries: number, linesBase: number) {
    this.starts = segments.starts;
    this.classes = segments.classes;
    this.roots = roots;
    this.maxEntries = maxEntries;
    this.ranges = new Uint32Array(segments.classes.length + 64);
    this.lines = new LineTable(linesBase, Math.ceil(segments.classes.length / 8) + 64);
  }

  /** Fills all roots; false, and to be done again, when that takes too many entries. */
  addRoots(rootsBase: number, crowded: number): boolean {
    const { starts } = this;
    this.crowded = crowded;
    this.fewLong = crowded === CROWDED ? FEW_LONG : crowded >> 1;
    this.leaf = new Uint32Array((crowded + 2) * 4);
    this.count = 0;
    this.lines.truncate(0);
    const end = this.classes.length - 1;
    let from = 0;
    for (let root = 0; root < 65536; root++) {
      let to = from;
      while (to < end && starts[(to + 1) * 4]! >>> 16 === root) to++;
      const high = (root << 16) >>> 0;
      const chunk = { from, to, bits: ROOT_BITS, high, low: 0, level: 0 };
      if (!this.add(rootsBase + root, chunk, false)) return false;
      from = to;
    }
    return true;
  }

  finished(): Ranges6 {
    return {
      lines: this.lines.finished(),
      ranges6: this.ranges.slice(0, this.count * 4),
    };
  }

  private add(entry: number, chunk: Chunk, isWide: boolean): boolean {
    const { from, to, bits, high, low } = chunk;
    const first = from < to && this.isStart(from + 1, high, low) ? from + 1 : from;
    if (first === to) {
      this.roots.set(entry, this.classes[first]!, 0);
      return true;
    }
    if (this.roots.entries + 2 * WIDE_PLACES > this.maxEntries) return false;
    const before = this.count;
    if (this.fillLeaf(first, to, bits, high, low)) {
      if (this.isShort(bits) && this.addLines(entry, bits, isWide)) return true;
      if (this.leafCount <= this.fewLong || bits === UPPER_BITS) {
        this.roots.set(entry, this.count, this.leafCount);
        this.appendLeaf();
        return true;
      }
    }
    this.count = before;
    return this.addNode(entry, { from: first, to, bits, high, low, level: chunk.level });
  }

  private addNode(entry: number, { from, to, bits, high, low, level }: Chunk): boolean {
    const { starts, roots } = this;
    const begin = (from + 1) * 4;
    const end = to * 4;
    const alike = commonBits(starts[begin]!, starts[begin + 1]!, starts[end]!, starts[end + 1]!);
    const skip = Math.min(alike - bits, MAX_SKIP);
    const width = this.widthOf(to - from + 1, bits, skip, level);
    // Where entries are going to lead to lines, more than one each.
    const isWide = bits + skip + width >= SITE_BITS && (to - from) >> width >= LINE_RANGES;
    const places = isWide ? WIDE_PLACES : 1;
    if (roots.entries + (3 + (1 << width)) * places > this.maxEntries) return false;
    const common = bitsAt(starts[begin]!, starts[begin + 1]!, bits, skip);
    const node = roots.addNode(entry, { width, skip, common, isWide });
    const at = bits + skip;
    const base = withBits(high, low, bits, skip, common);
    let first = from;
    for (let index = 0; index < 1 << width; index++) {
      let last = first;
      while (last < to && this.bitsOf(last + 1, at, width) === index) last++;
      if (last === first) {
        roots.set(node + index * places, this.classes[first]!, 0);
        continue;
      }
      const [childHigh, childLow] = withBits(base[0], base[1], at, width, index);
      const child = {
        from: first,
        to: last,
        bits: at + width,
        high: childHigh,
        low: childLow,
        level: level + 1,
      };
      if (!this.add(node + index * places, child, isWide)) return false;
      first = last;
    }
    if (skip === 0) return true;
    const outer = node + (1 << width) * places;
    roots.set(outer, this.classes[from]!, 0);
    roots.set(outer + 1, this.classes[to]!, 0);
    return true;
  }

  /**
   * Bits by which a node divides `count` ranges: as few as leave no crowded ones,
   * and enough that the levels left can tell all upper halves apart.
   */
  private widthOf(count: number, bits: number, skip: number, level: number): number {
    const at = bits + skip;
    const wanted = Math.ceil(Math.log2(count / (this.crowded * FULL)));
    // What only has to be short enough needs no division.
    const least = wanted <= 0 && skip > 0 ? 0 : at < SITE_BITS ? SITES_WIDTH : 1;
    const left = UPPER_BITS - at;
    const needed = left - MAX_WIDTH * (NODE_LEVELS6 - 2 - level);
    return Math.min(Math.max(wanted, needed, least), MAX_WIDTH, left);
  }

  private bitsOf(segment: number, from: number, width: number): number {
    return bitsAt(this.starts[segment * 4]!, this.starts[segment * 4 + 1]!, from, width);
  }

  /** Does the segment begin at this upper half, with a lower half of zero? */
  private isStart(segment: number, high: number, low: number): boolean {
    const at = segment * 4;
    const { starts } = this;
    return (
      starts[at] === high && starts[at + 1] === low && starts[at + 2] === 0 && starts[at + 3] === 0
    );
  }

  /**
   * Puts the chunk's entries into `leaf` and the lower ranges straight into
   * `ranges`; false when the chunk is crowded and can be divided further.
   */
  private fillLeaf(from: number, to: number, bits: number, high: number, low: number): boolean {
    const { starts, classes } = this;
    this.leafCount = 0;
    let current = classes[from]!;
    let next = from + 1;
    if (starts[next * 4] !== high || starts[next * 4 + 1] !== low) {
      this.pushLeaf(high, low, current, 0);
    }
    while (next <= to) {
      const upper = starts[next * 4]!;
      const lower = starts[next * 4 + 1]!;
      const group = next;
      while (next <= to && starts[next * 4 + 1] === lower && starts[next * 4] === upper) next++;
      const isSplit = next - group > 1 || !this.isStart(group, upper, lower);
      const after = classes[next - 1]!;
      if (!isSplit) {
        this.pushLeaf(upper, lower, after, 0);
      } else {
        const first = this.count;
        this.appendLower(group, next, current);
        this.pushLeaf(upper, lower, first, this.count - first);
        const isLast = isLastAfter(bits, upper, lower);
        const isNext = next <= to && this.isSuccessor(next, upper, lower);
        if (!isLast && !isNext) this.pushLeaf(...successor(upper, lower), after, 0);
      }
      if (this.leafCount > this.crowded && bits < UPPER_BITS) return false;
      current = after;
    }
    return true;
  }

  private pushLeaf(high: number, low: number, value: number, count: number): void {
    const at = this.leafCount++ * 4;
    this.leaf[at] = low;
    this.leaf[at + 1] = high;
    this.leaf[at + 2] = value;
    this.leaf[at + 3] = count;
  }

  /** Do the 32 bits after the first `bits` tell the entries of `leaf` apart? */
  private isShort(bits: number): boolean {
    if (this.leafCount > CROWDED) return false;
    if (bits >= 32) return true;
    for (let at = 0; at < this.leafCount * 4; at += 4) {
      if (this.leaf[at]! << bits !== 0) return false;
    }
    return true;
  }

  /** Puts the entries of `leaf` into lines; false, and nothing done, when those are too many. */
  private addLines(entry: number, bits: number, isWide: boolean): boolean {
    const { leaf, leafCount, lines, lasts, roots } = this;
    const linesBefore = lines.count;
    const before = this.count;
    const first = lines.begin();
    lasts.fill(NO_LAST);
    for (let at = 0; at < leafCount * 4; at += 4) {
      const key = wordAt(leaf[at + 1]!, leaf[at]!, bits);
      if (this.addToLine(at, key)) continue;
      const count = lines.count - linesBefore;
      if (count === MAX_LINES) {
        lines.truncate(linesBefore);
        this.count = before;
        return false;
      }
      lasts[count - 1] = key - 1;
      lines.begin();
      this.addToLine(at, key);
    }
    const count = lines.count - linesBefore;
    const needsNode = count > 1 && !isWide;
    const place = needsNode ? roots.addNode(entry, WIDENING) : entry;
    roots.set(place, first, ROOT_LINES + count);
    if (count > 1) roots.setLasts(place, lasts);
    return true;
  }

  /** One entry of `leaf`; false when the line has no room for it. */
  private addToLine(at: number, key: number): boolean {
    if (this.leaf[at + 3] === 0) return this.lines.addClass(key, this.leaf[at + 2]!);
    if (!this.lines.addLong(key, this.count)) return false;
    this.appendRange(at);
    return true;
  }

  private appendLeaf(): void {
    for (let at = 0; at < this.leafCount * 4; at += 4) this.appendRange(at);
  }

  /** Appends one entry of `leaf`. */
  private appendRange(at: number): void {
    const to = this.count++ * 4;
    this.ranges = grownU32(this.ranges, to + 4);
    for (let word = 0; word < 4; word++) this.ranges[to + word] = this.leaf[at + word]!;
  }

  /** The lower halves of the segments group..end-1, which share their upper half. */
  private appendLower(group: number, end: number, before: number): void {
    const { starts, classes } = this;
    const first = this.count;
    this.ranges = grownU32(this.ranges, (first + end - group + 1) * 4);
    if (starts[group * 4 + 2] !== 0 || starts[group * 4 + 3] !== 0) this.pushRange(0, 0, before);
    for (let segment = group; segment < end; segment++) {
      this.pushRange(starts[segment * 4 + 2]!, starts[segment * 4 + 3]!, classes[segment]!);
    }
    if (this.count - first > MAX_LOWER_RANGES) {
      throw tooBig(
        `address lists have ${figure(this.count - first)} ranges inside one IPv6 /64, ` +
          `where ${figure(MAX_LOWER_RANGES)} fit`,
        'name the whole /64, or wider prefixes in it',
      );
    }
  }

  private pushRange(high: number, low: number, value: number): void {
    const at = this.count++ * 4;
    this.ranges[at] = low;
    this.ranges[at + 1] = high;
    this.ranges[at + 2] = value;
    this.ranges[at + 3] = 0;
  }

  private isSuccessor(segment: number, high: number, low: number): boolean {
    const [nextHigh, nextLow] = successor(high, low);
    return this.starts[segment * 4] === nextHigh && this.starts[segment * 4 + 1] === nextLow;
  }
}
