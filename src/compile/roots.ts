// The tables by which an address finds its class: roots, nodes, ranges.

import type { Partition } from './classes.js';
import { grownU32 } from './growing.js';
import {
  LINE_WORDS,
  NODE_COMMON,
  NODE_SKIP,
  NODE_SKIPPED,
  NODE_WIDE,
  NODE_WIDTH,
  NODES,
  ROOT_LINES,
  ROOT_NODE,
  ROOTS6,
  WIDE_LAST,
  WIDE_PLACES,
} from './layout.js';
import { buildRanges4 } from './ranges4.js';
import { buildRanges6 } from './ranges6.js';
import type { Tables } from './tables.js';

/** What a node looks at. */
export interface Shape {
  readonly width: number;
  readonly skip: number;
  /** Value of the skipped bits. */
  readonly common: number;
  readonly isWide: boolean;
}

/** An address space that is divided without a look at what is in it. */
export const plainNode = (width: number): Shape => ({ width, skip: 0, common: 0, isWide: false });

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
  addNode(entry: number, { width, skip, common, isWide }: Shape): number {
    const places = isWide ? WIDE_PLACES : 1;
    const first = Math.ceil(this.entries / places) * places;
    this.entries = first + 2 ** width * places + (skip > 0 ? 2 : 0);
    this.words = grownU32(this.words, (NODES + this.entries) * 2);
    const bits = (common << NODE_COMMON) | (skip << NODE_SKIP) | width;
    this.set(entry, first, (ROOT_NODE | (isWide ? NODE_WIDE : 0) | bits) >>> 0);
    return NODES + first;
  }

  /** Ends of lines behind a wide entry. */
  setLasts(entry: number, lasts: Uint32Array): void {
    this.words.set(lasts, entry * 2 + WIDE_LAST);
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
  | ({
      readonly kind: 'node';
      /** Place of its first entry. */
      readonly first: number;
      /** Places that an entry takes. */
      readonly places: number;
    } & Shape)
  | { readonly kind: 'class'; readonly id: number }
  | { readonly kind: 'ranges'; readonly first: number; readonly count: number }
  | {
      readonly kind: 'lines';
      readonly first: number;
      readonly count: number;
      /** Word of `roots` from which the ends of all lines but the last stand. */
      readonly lasts: number;
    };

export function readEntry(roots: Uint32Array, entry: number): Entry {
  const first = roots[entry * 2]!;
  const count = roots[entry * 2 + 1]!;
  if (count === 0) return { kind: 'class', id: first };
  if (count < ROOT_LINES) return { kind: 'ranges', first, count };
  if (count < ROOT_NODE)
    return { kind: 'lines', first, count: count - ROOT_LINES, lasts: entry * 2 + WIDE_LAST };
  const isWide = (count & NODE_WIDE) !== 0;
  return {
    kind: 'node',
    first: NODES + first,
    places: isWide ? WIDE_PLACES : 1,
    width: count & NODE_WIDTH,
    skip: (count >>> NODE_SKIP) & NODE_SKIPPED,
    common: (count >>> NODE_COMMON) & 0xffff,
    isWide,
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
  const base = Math.ceil(ranges4.length / LINE_WORDS);
  const { lines, ranges6 } = buildRanges6(partition.v6, roots, ROOTS6, base);
  return { roots: roots.finished(), ranges4: joined(ranges4, lines, base * LINE_WORDS), ranges6 };
}

function joined(ranges4: Uint32Array, lines: Uint32Array, at: number): Uint32Array {
  if (lines.length === 0) return ranges4;
  const words = new Uint32Array(at + lines.length);
  words.set(ranges4);
  words.set(lines, at);
  return words;
}
