// The tables by which an address finds its class: roots, nodes, ranges.

import type { Partition } from './classes.js';
import { grownU32 } from './growing.js';
import { NODE_SIZE, NODES, ROOT_NODE, ROOTS6 } from './layout.js';
import { buildRanges4 } from './ranges4.js';
import { buildRanges6 } from './ranges6.js';
import type { Tables } from './tables.js';

/** The `roots` table under construction: nodes are appended as they are needed. */
export class RootTable {
  nodes = 0;
  private words = new Uint32Array(NODES * 2);

  /** Numbers a new node; its entries are at NODES + 256 * number. */
  addNode(): number {
    const node = this.nodes++;
    const length = (NODES + NODE_SIZE * this.nodes) * 2;
    if (length > this.words.length) this.words = grownU32(this.words, length);
    return node;
  }

  /** Forgets the nodes from this one on. */
  truncate(nodes: number): void {
    this.words.fill(0, (NODES + NODE_SIZE * nodes) * 2);
    this.nodes = nodes;
  }

  set(entry: number, first: number, count: number): void {
    this.words[entry * 2] = first;
    this.words[entry * 2 + 1] = count;
  }

  setNode(entry: number, node: number): void {
    this.set(entry, node, ROOT_NODE);
  }

  finished(): Uint32Array {
    return this.words.slice(0, (NODES + NODE_SIZE * this.nodes) * 2);
  }
}

/** Entry of a root or node that is `index` entries into node `node`. */
export function nodeEntry(node: number, index: number): number {
  return NODES + NODE_SIZE * node + index;
}

/**
 * Encodes a partition as the kernel reads it (head comment of bpf/abi.h). At
 * most 8,192 nodes of 2 KiB stand for IPv4 and 16,384 for IPv6, 48 MiB in all,
 * whatever the lists look like: a hostile set gets longer searches instead.
 */
export function buildRoots(partition: Partition): Pick<Tables, 'roots' | 'ranges4' | 'ranges6'> {
  const roots = new RootTable();
  const ranges4 = buildRanges4(partition.v4, roots);
  const ranges6 = buildRanges6(partition.v6, roots, ROOTS6);
  return { roots: roots.finished(), ranges4, ranges6 };
}
