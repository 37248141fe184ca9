// IPv6: a root for each /16, narrow nodes below it where crowded, up to bit 64.

import type { Segments } from './classes.js';
import { grownU32 } from './growing.js';
import { NODE_LEVELS6, ROOT_SHORT, VALUE_LONG } from './layout.js';
import { figure, MAX_LOWER_RANGES, tooBig } from './limits.js';
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

/** A chunk with more ranges than this becomes a node: short ones are a line of the cache. */
const CROWDED = 8;
/** Short ranges that the kernel's search can tell apart. */
const MAX_SHORT = 4096;
/** Entries of nodes for IPv6: 32 MiB. */
const MAX_ENTRIES = 1 << 22;
const ROOT_BITS = 16;
const MIN_WIDTH = 3;
const MAX_WIDTH = 8;
const MAX_SKIP = 16;
/** Short ranges in a line of the cache. */
const LINE = 8;

/** `shorts` are pairs {start, value}, to stand from an index of their own on that is a multiple of 8. */
export interface Ranges6 {
  readonly shorts: Uint32Array;
  readonly ranges6: Uint32Array;
}

/**
 * Appends nodes to `roots` and gives the ranges. Should the nodes have more than
 * MAX_ENTRIES, the measure of crowded is raised fourfold until they are few
 * enough: a node's chunk has more than half that many ranges, a range makes at
 * most two, each lies under at most eight nodes, and a node has at most 258
 * entries: so with n ranges a chunk never has more than max(8, n / 127) of them.
 */
export function buildRanges6(
  segments: Segments,
  roots: RootTable,
  rootsBase: number,
  shortsBase: number,
): Ranges6 {
  const before = roots.entries;
  const chunks = new Chunks(segments, roots, before + MAX_ENTRIES, shortsBase);
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
  private readonly shortsBase: number;
  private crowded = 0;
  private ranges: Uint32Array<ArrayBuffer>;
  private count = 0;
  private shorts: Uint32Array<ArrayBuffer>;
  private shortCount = 0;
  /** Entries of the chunk at hand, four words each, before they are appended. */
  private leaf = new Uint32Array(0);
  private leafCount = 0;

  constructor(segments: Segments, roots: RootTable, maxEntries: number, shortsBase: number) {
    this.starts = segments.starts;
    this.classes = segments.classes;
    this.roots = roots;
    this.maxEntries = maxEntries;
    this.shortsBase = shortsBase;
    this.ranges = new Uint32Array(segments.classes.length + 64);
    this.shorts = new Uint32Array(segments.classes.length * 3 + 64);
  }

  /** Fills all roots; false, and to be done again, when that takes too many entries. */
  addRoots(rootsBase: number, crowded: number): boolean {
    const { starts } = this;
    this.crowded = crowded;
    this.leaf = new Uint32Array((crowded + 2) * 4);
    this.count = 0;
    this.shortCount = 0;
    const end = this.classes.length - 1;
    let from = 0;
    for (let root = 0; root < 65536; root++) {
      let to = from;
      while (to < end && starts[(to + 1) * 4]! >>> 16 === root) to++;
      const high = (root << 16) >>> 0;
      const chunk = { from, to, bits: ROOT_BITS, high, low: 0, level: 0 };
      if (!this.add(rootsBase + root, chunk)) return false;
      from = to;
    }
    return true;
  }

  finished(): Ranges6 {
    return {
      shorts: this.shorts.slice(0, this.shortCount * 2),
      ranges6: this.ranges.slice(0, this.count * 4),
    };
  }

  private add(entry: number, chunk: Chunk): boolean {
    const { from, to, bits, high, low } = chunk;
    const first = from < to && this.isStart(from + 1, high, low) ? from + 1 : from;
    if (first === to) {
      this.roots.set(entry, this.classes[first]!, 0);
      return true;
    }
    const before = this.count;
    if (this.fillLeaf(first, to, bits, high, low)) {
      if (this.isShort(bits)) {
        this.appendShort(entry, bits);
        return true;
      }
      if (this.leafCount <= this.crowded >> 1 || bits === UPPER_BITS) {
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
    const common = commonBits(starts[begin]!, starts[begin + 1]!, starts[end]!, starts[end + 1]!);
    const skip = skipOf(bits, common);
    const width = this.widthOf(to - from + 1, bits + skip, level);
    const size = (1 << width) + (skip > 0 ? 2 : 0);
    if (roots.entries + size > this.maxEntries) return false;
    const prefix = bitsAt(starts[begin]!, starts[begin + 1]!, bits, skip);
    const node = roots.addNode(entry, width, skip, prefix);
    const at = bits + skip;
    const base = withBits(high, low, bits, skip, prefix);
    let first = from;
    for (let index = 0; index < 1 << width; index++) {
      let last = first;
      while (last < to && this.bitsOf(last + 1, at, width) === index) last++;
      if (last === first) {
        roots.set(node + index, this.classes[first]!, 0);
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
      if (!this.add(node + index, child)) return false;
      first = last;
    }
    if (skip === 0) return true;
    roots.set(node + (1 << width), this.classes[from]!, 0);
    roots.set(node + (1 << width) + 1, this.classes[to]!, 0);
    return true;
  }

  /**
   * Bits by which a node divides `count` ranges: about half of what is crowded
   * for each, and enough that the levels left can tell all upper halves apart.
   */
  private widthOf(count: number, at: number, level: number): number {
    const wanted = Math.ceil(Math.log2((count * 2) / this.crowded));
    const left = UPPER_BITS - at;
    const needed = left - MAX_WIDTH * (NODE_LEVELS6 - 1 - level);
    return Math.min(Math.max(wanted, needed, MIN_WIDTH), MAX_WIDTH, left);
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
    if (this.leafCount > MAX_SHORT) return false;
    if (bits >= 32) return true;
    for (let at = 0; at < this.leafCount * 4; at += 4) {
      if (this.leaf[at]! << bits !== 0) return false;
    }
    return true;
  }

  private appendShort(entry: number, bits: number): void {
    const { leaf, leafCount } = this;
    const place = this.shortCount % LINE;
    if (place + leafCount > LINE && leafCount <= LINE) this.shortCount += LINE - place;
    this.shorts = grownU32(this.shorts, (this.shortCount + leafCount) * 2);
    this.roots.set(entry, this.shortsBase + this.shortCount, ROOT_SHORT + leafCount);
    for (let at = 0; at < leafCount * 4; at += 4) {
      const isLong = leaf[at + 3]! > 0;
      const to = this.shortCount++ * 2;
      this.shorts[to] = wordAt(leaf[at + 1]!, leaf[at]!, bits);
      this.shorts[to + 1] = isLong ? VALUE_LONG + this.count : leaf[at + 2]!;
      if (isLong) this.appendRange(at);
    }
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

/** Bits to skip of those that all ranges have in common; a few are not worth it. */
function skipOf(bits: number, common: number): number {
  const skip = Math.min(common - bits, MAX_SKIP);
  return skip < MIN_WIDTH ? 0 : skip;
}
