// IPv6: a root for each /16, a node for each further 8 bits where crowded, up to bit 64.

import type { Segments } from './classes.js';
import { grownU32 } from './growing.js';
import { figure, MAX_LOWER_RANGES, tooBig } from './limits.js';
import { nodeEntry, type RootTable } from './roots.js';

/** A chunk with more ranges than this becomes a node: a search takes 5 steps or less. */
const CROWDED = 32;
/** Nodes for IPv6: 32 MiB. */
const MAX_NODES = 16384;
/** Bits that roots and six levels of nodes tell apart. */
const UPPER_BITS = 64;

/**
 * Appends nodes to `roots` and gives the `ranges6` table. Should the nodes be
 * more than MAX_NODES, the measure of crowded is raised fourfold until they are
 * few enough: a node holds more than that many entries, a range makes at most
 * two, and each lies under at most six nodes, so with n ranges a chunk never
 * has more than max(32, n / 340) entries.
 */
export function buildRanges6(segments: Segments, roots: RootTable, rootsBase: number): Uint32Array {
  const before = roots.nodes;
  const chunks = new Chunks(segments, roots, before + MAX_NODES);
  for (let crowded = CROWDED; !chunks.addRoots(rootsBase, crowded); crowded *= 4) {
    roots.truncate(before);
  }
  return chunks.finished();
}

class Chunks {
  private readonly starts: Uint32Array;
  private readonly classes: Uint16Array;
  private readonly roots: RootTable;
  private readonly maxNodes: number;
  private crowded = 0;
  private ranges: Uint32Array<ArrayBuffer>;
  private count = 0;
  /** Entries of the chunk at hand, four words each, before they are appended. */
  private leaf = new Uint32Array(0);
  private leafCount = 0;

  constructor(segments: Segments, roots: RootTable, maxNodes: number) {
    this.starts = segments.starts;
    this.classes = segments.classes;
    this.roots = roots;
    this.maxNodes = maxNodes;
    this.ranges = new Uint32Array(segments.classes.length * 5 + 64);
  }

  /** Fills all roots; false, and to be done again, when that takes too many nodes. */
  addRoots(rootsBase: number, crowded: number): boolean {
    const { starts } = this;
    this.crowded = crowded;
    this.leaf = new Uint32Array((crowded + 2) * 4);
    this.count = 0;
    const end = this.classes.length - 1;
    let from = 0;
    for (let root = 0; root < 65536; root++) {
      let to = from;
      while (to < end && starts[(to + 1) * 4]! >>> 16 === root) to++;
      if (!this.add(rootsBase + root, from, to, 16, (root << 16) >>> 0, 0)) return false;
      from = to;
    }
    return true;
  }

  finished(): Uint32Array {
    return this.ranges.slice(0, this.count * 4);
  }

  /**
   * Entry for the chunk whose upper 64 bits begin with the first `bits` of
   * (high, low) and which holds the segments from..to; `from` may begin earlier.
   */
  private add(
    entry: number,
    from: number,
    to: number,
    bits: number,
    high: number,
    low: number,
  ): boolean {
    const first = from < to && this.isStart(from + 1, high, low) ? from + 1 : from;
    if (first === to) {
      this.roots.set(entry, this.classes[first]!, 0);
      return true;
    }
    const before = this.count;
    if (this.fillLeaf(first, to, bits, high, low)) {
      this.roots.set(entry, this.count, this.leafCount);
      this.appendLeaf();
      return true;
    }
    this.count = before;
    return this.addNode(entry, first, to, bits, high, low);
  }

  private addNode(
    entry: number,
    from: number,
    to: number,
    bits: number,
    high: number,
    low: number,
  ): boolean {
    if (this.roots.nodes >= this.maxNodes) return false;
    const { starts } = this;
    const node = this.roots.addNode();
    this.roots.setNode(entry, node);
    const word = bits >> 5;
    const shift = 24 - (bits & 31);
    let first = from;
    for (let index = 0; index < 256; index++) {
      let last = first;
      while (last < to && ((starts[(last + 1) * 4 + word]! >>> shift) & 255) === index) last++;
      const childHigh = word === 0 ? (high | (index << shift)) >>> 0 : high;
      const childLow = word === 0 ? low : (low | (index << shift)) >>> 0;
      if (!this.add(nodeEntry(node, index), first, last, bits + 8, childHigh, childLow)) {
        return false;
      }
      first = last;
    }
    return true;
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
        const isLast = isChunkEnd(bits, upper, lower);
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

  private appendLeaf(): void {
    const words = this.leafCount * 4;
    this.ranges = grownU32(this.ranges, this.count * 4 + words);
    this.ranges.set(this.leaf.subarray(0, words), this.count * 4);
    this.count += this.leafCount;
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

/** The upper half that follows this one. */
function successor(high: number, low: number): [high: number, low: number] {
  return low === 0xffffffff ? [high + 1, 0] : [high, low + 1];
}

/** Are all bits of the upper half after the first `bits` ones? */
function isChunkEnd(bits: number, high: number, low: number): boolean {
  const highOnes = bits >= 32 ? 0 : 0xffffffff >>> bits;
  const lowOnes = bits >= 64 ? 0 : bits <= 32 ? 0xffffffff : 0xffffffff >>> (bits - 32);
  return (high & highOnes) >>> 0 === highOnes && (low & lowOnes) >>> 0 === lowOnes;
}
