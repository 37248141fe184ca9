// IPv4: a root for each /16, sorted ranges in it, one level of nodes where crowded.

import type { Segments } from './classes.js';
import { grownU32 } from './growing.js';
import { BLOCK_SIZE } from './layout.js';
import { plainNode, type RootTable } from './roots.js';

/** A /16 with more ranges than this becomes a node: a search takes 6 steps or less. */
const CROWDED = 64;
/** Nodes for IPv4: 16 MiB. */
const MAX_NODES = 8192;
const BLOCK_RANGES = BLOCK_SIZE / 4;
const ROOTS = 65536;
const MAX_WIDTH = 8;
/** So many ranges are left to search behind an entry of a node, on average. */
const RANGES_AN_ENTRY = 8;

/**
 * Appends nodes to `roots` and gives the `ranges4` table. Where more than
 * MAX_NODES of the /16 are crowded, the measure of crowded doubles until they
 * are few enough: with n ranges in all, a chunk without a node has at most
 * max(64, n / 4,096) of them, and a chunk under a node 256.
 */
export function buildRanges4(segments: Segments, roots: RootTable): Uint32Array {
  const { starts } = segments;
  const last = lastByRoot(starts);
  const crowded = chooseCrowded(starts, last);
  const chunks = new Chunks(segments, roots);
  let from = 0;
  for (let root = 0; root < ROOTS; root++) {
    const base = (root << 16) >>> 0;
    const to = last[root]!;
    if (to === from) {
      chunks.add(root, to, to, base);
    } else {
      if (starts[from + 1] === base) from++;
      if (to - from + 1 > crowded) chunks.addNode(root, from, to, base);
      else chunks.add(root, from, to, base);
    }
    from = to;
  }
  return chunks.finished();
}

/** For each /16 the last segment that begins in it or before it. */
function lastByRoot(starts: Uint32Array): Uint32Array {
  const last = new Uint32Array(ROOTS);
  for (let segment = 0; segment < starts.length; segment++) last[starts[segment]! >>> 16] = segment;
  for (let root = 1; root < ROOTS; root++) last[root] ||= last[root - 1]!;
  return last;
}

function chooseCrowded(starts: Uint32Array, last: Uint32Array): number {
  for (let crowded = CROWDED; ; crowded *= 2) {
    let nodes = 0;
    for (let root = 1; root < ROOTS; root++) if (last[root]! - last[root - 1]! > crowded) nodes++;
    if (nodes <= MAX_NODES || starts.length <= crowded) return crowded;
  }
}

/** Bits by which a node divides so many ranges. */
function widthOf(count: number): number {
  return Math.min(MAX_WIDTH, Math.ceil(Math.log2(count / RANGES_AN_ENTRY)));
}

class Chunks {
  private readonly segments: Segments;
  private readonly roots: RootTable;
  private ranges: Uint32Array<ArrayBuffer>;
  private count = 0;

  constructor(segments: Segments, roots: RootTable) {
    this.segments = segments;
    this.roots = roots;
    // each segment once, and once more for each chunk that begins inside one
    this.ranges = new Uint32Array(segments.starts.length * 2 + 1);
  }

  /** Entry for the chunk at `base` that holds the segments from..to; `from` may begin earlier. */
  add(entry: number, from: number, to: number, base: number): void {
    const { starts, classes } = this.segments;
    if (from === to) {
      this.roots.set(entry, classes[from]!, 0);
      return;
    }
    const first = this.room(to - from + 1);
    const { ranges } = this;
    let count = first;
    ranges[count++] = (((base & 0xffff) << 16) | classes[from]!) >>> 0;
    for (let segment = from + 1; segment <= to; segment++) {
      ranges[count++] = ((starts[segment]! << 16) | classes[segment]!) >>> 0;
    }
    this.count = count;
    this.roots.set(entry, first, count - first);
  }

  /** As add, through a node. */
  addNode(entry: number, from: number, to: number, base: number): void {
    const { starts } = this.segments;
    const width = widthOf(to - from + 1);
    const node = this.roots.addNode(entry, plainNode(width));
    const step = 65536 >>> width;
    let first = from;
    for (let index = 0; index < 1 << width; index++) {
      const start = base + index * step;
      let last = first;
      while (last < to && starts[last + 1]! < start + step) last++;
      if (last > first && starts[first + 1] === start) first++;
      this.add(node + index, first, last, start);
      first = last;
    }
  }

  /** Where so many ranges can go: in one block if one can hold them. */
  private room(length: number): number {
    const place = this.count % BLOCK_RANGES;
    if (place + length > BLOCK_RANGES && length <= BLOCK_RANGES) this.count += BLOCK_RANGES - place;
    this.ranges = grownU32(this.ranges, this.count + length);
    return this.count;
  }

  finished(): Uint32Array {
    return this.ranges.slice(0, this.count);
  }
}
