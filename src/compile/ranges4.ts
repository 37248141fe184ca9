// IPv4: a root for each /16, sorted ranges in it, one level of nodes where crowded.

import type { Segments } from './classes.js';
import { nodeEntry, type RootTable } from './roots.js';

/** A /16 with more ranges than this becomes a node: a search takes 6 steps or less. */
const CROWDED = 64;
/** Nodes for IPv4: 16 MiB. */
const MAX_NODES = 8192;
const ROOTS = 65536;

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

class Chunks {
  private readonly segments: Segments;
  private readonly roots: RootTable;
  private readonly ranges: Uint32Array;
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
    const { ranges } = this;
    const first = this.count;
    let count = first;
    ranges[count++] = (((base & 0xffff) << 16) | classes[from]!) >>> 0;
    for (let segment = from + 1; segment <= to; segment++) {
      ranges[count++] = ((starts[segment]! << 16) | classes[segment]!) >>> 0;
    }
    this.count = count;
    this.roots.set(entry, first, count - first);
  }

  /** As add, through a node with an entry for each /24. */
  addNode(entry: number, from: number, to: number, base: number): void {
    const { starts } = this.segments;
    const node = this.roots.addNode();
    this.roots.setNode(entry, node);
    let first = from;
    for (let index = 0; index < 256; index++) {
      const start = base + index * 256;
      let last = first;
      while (last < to && starts[last + 1]! < start + 256) last++;
      if (last > first && starts[first + 1] === start) first++;
      this.add(nodeEntry(node, index), first, last, start);
      first = last;
    }
  }

  finished(): Uint32Array {
    return this.ranges.slice(0, this.count);
  }
}
