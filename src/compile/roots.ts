// The tables by which an address finds its class: roots, nodes, ranges.

import type { Partition } from './classes.js';
import { grownU32 } from './growing.js';
import {
  NODE_COMMON,
  NODE_SKIP,
  NODE_SKIPPED,
  NODE_WIDTH,
  NODES,
  ROOT_NODE,
  ROOT_SHORT,
  ROOTS6,
} from './layout.js';
import { buildRanges4 } from './ranges4.js';
import { buildRanges6 } from './ranges6.js';
import type { Tables } from './tables.js';

/** Words in a line of the cache. */
const LINE_WORDS = 16;

/** The `roots` table under construction: nodes are appended as they are needed. */
export class RootTable {
  /** Entries of all nodes. */
  entries = 0;
  private words = new Uint32Array(NODES * 2);

  /**
   * Makes `entry` a node that skips some bits of a known value and then tells
   * 2 ** width apart; gives the place of its first entry. A node that skips has
   * two entries more, for addresses below and above that value.
   */
  addNode(entry: number, width: number, skip = 0, common = 0): number {
    const first = this.entries;
    this.entries += 2 ** width + (skip > 0 ? 2 : 0);
    this.words = grownU32(this.words, (NODES + this.entries) * 2);
    this.set(
      entry,
      first,
      (ROOT_NODE | (common << NODE_COMMON) | (skip << NODE_SKIP) | width) >>> 0,
    );
    return NODES + first;
  }

  /** Forgets all entries of nodes but the first so many. */
  truncate(entries: number): void {
    this.words.fill(0, (NODES + entries) * 2);
    this.entries = entries;
  }

  set(entry: number, first: number, count: number): void {
    this.words[entry * 2] = first;
    this.words[entry * 2 + 1] = count;
  }

  finished(): Uint32Array {
    return this.words.slice(0, (NODES + this.entries) * 2);
  }
}

/** An entry of `roots`, read. */
export type Entry =
  | {
      readonly kind: 'node';
      /** Place of its first entry. */
      readonly first: number;
      readonly width: number;
      readonly skip: number;
      readonly common: number;
    }
  | { readonly kind: 'class'; readonly id: number }
  | { readonly kind: 'ranges' | 'short'; readonly first: number; readonly count: number };

export function readEntry(roots: Uint32Array, entry: number): Entry {
  const first = roots[entry * 2]!;
  const count = roots[entry * 2 + 1]!;
  if (count === 0) return { kind: 'class', id: first };
  if (count < ROOT_SHORT) return { kind: 'ranges', first, count };
  if (count < ROOT_NODE) return { kind: 'short', first, count: count - ROOT_SHORT };
  return {
    kind: 'node',
    first: NODES + first,
    width: count & NODE_WIDTH,
    skip: (count >>> NODE_SKIP) & NODE_SKIPPED,
    common: (count >>> NODE_COMMON) & 0xffff,
  };
}

/**
 * Encodes a partition as the kernel reads it (head comment of bpf/abi.h). At
 * most 2 M entries of nodes stand for IPv4 and 4 M for IPv6, 48 MiB in all,
 * whatever the lists look like: a hostile set gets longer searches instead.
 */
export function buildRoots(partition: Partition): Pick<Tables, 'roots' | 'ranges4' | 'ranges6'> {
  const roots = new RootTable();
  const ranges4 = buildRanges4(partition.v4, roots);
  // Short ranges follow where a line of the cache begins.
  const shortsAt = Math.ceil(ranges4.length / LINE_WORDS) * LINE_WORDS;
  const { shorts, ranges6 } = buildRanges6(partition.v6, roots, ROOTS6, shortsAt / 2);
  return { roots: roots.finished(), ranges4: joined(ranges4, shorts, shortsAt), ranges6 };
}

function joined(ranges4: Uint32Array, shorts: Uint32Array, at: number): Uint32Array {
  if (shorts.length === 0) return ranges4;
  const words = new Uint32Array(at + shorts.length);
  words.set(ranges4);
  words.set(shorts, at);
  return words;
}
