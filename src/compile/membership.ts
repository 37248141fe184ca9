// Sets of small integers that change by one member at a time and can be told apart.

import { grownU32 } from './growing.js';

const WORD_BITS = 32;

/**
 * The set of lists that hold the point of a sweep, as a tree over a bitmap:
 * leaves are words of 32 members, and inner nodes are interned by their two
 * children. Equal sets therefore have the same root, always: there is no hash
 * that could collide and misjudge a packet. A change costs one path, and sets
 * that differ in little share nearly all of their nodes, so thousands of
 * overlapping lists need no copy of each set.
 */
export class Membership {
  private readonly leaves: number;
  /** Heap order: 1 is the root, leaves + w is word w. Values are node ids or, at leaves, bits. */
  private readonly current: Uint32Array;
  private readonly empty: Uint32Array;
  private left = new Uint32Array(64);
  private right = new Uint32Array(64);
  private counts = new Uint32Array(64);
  private levels = new Uint32Array(64);
  private nodes = 0;
  private slots = new Int32Array(256).fill(-1);

  /** Room for members 0 .. size - 1; the set is empty. */
  constructor(size: number) {
    let leaves = 2;
    while (leaves * WORD_BITS < size) leaves *= 2;
    this.leaves = leaves;
    this.current = new Uint32Array(leaves * 2);
    let level = 1;
    for (let first = leaves >> 1; first >= 1; first >>= 1, level++) {
      const child = first * 2;
      const id = this.intern(level, this.current[child]!, this.current[child + 1]!);
      this.current.fill(id, first, child);
    }
    this.empty = this.current.slice();
  }

  /** Removes all members. */
  clear(): void {
    this.current.set(this.empty);
  }

  /** Adds a member that is absent, removes one that is present. */
  toggle(member: number): void {
    let at = this.leaves + (member >>> 5);
    const current = this.current;
    current[at] = current[at]! ^ (1 << (member & 31));
    for (let level = 1; at > 1; level++) {
      at >>= 1;
      current[at] = this.intern(level, current[at * 2]!, current[at * 2 + 1]!);
    }
  }

  /** The id of the present set: equal sets have equal ids, counted from 0 and dense. */
  get id(): number {
    return this.current[1]!;
  }

  /** How many members the set with this id has. */
  countOf(id: number): number {
    return this.counts[id]!;
  }

  /** The members of the set with this id, ascending. */
  membersOf(id: number): number[] {
    const members: number[] = [];
    this.collect(id, this.levels[id]!, 0, members);
    return members;
  }

  private collect(id: number, level: number, word: number, into: number[]): void {
    if (this.counts[id] === 0) return;
    const half = 1 << (level - 1);
    if (level > 1) {
      this.collect(this.left[id]!, level - 1, word, into);
      this.collect(this.right[id]!, level - 1, word + half, into);
      return;
    }
    collectBits(this.left[id]!, word * WORD_BITS, into);
    collectBits(this.right[id]!, (word + 1) * WORD_BITS, into);
  }

  private intern(level: number, left: number, right: number): number {
    const mask = this.slots.length - 1;
    let slot = mix(left, right, level) & mask;
    for (;;) {
      const id = this.slots[slot]!;
      if (id < 0) break;
      if (this.left[id] === left && this.right[id] === right && this.levels[id] === level) {
        return id;
      }
      slot = (slot + 1) & mask;
    }
    this.slots[slot] = this.nodes;
    return this.append(level, left, right);
  }

  private append(level: number, left: number, right: number): number {
    const id = this.nodes++;
    this.left = grownU32(this.left, this.nodes);
    this.right = grownU32(this.right, this.nodes);
    this.levels = grownU32(this.levels, this.nodes);
    this.counts = grownU32(this.counts, this.nodes);
    this.left[id] = left;
    this.right[id] = right;
    this.levels[id] = level;
    this.counts[id] =
      level === 1 ? bitCount(left) + bitCount(right) : this.counts[left]! + this.counts[right]!;
    if (this.nodes * 2 > this.slots.length) this.rehash();
    return id;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.nodes; id++) {
      let slot = mix(this.left[id]!, this.right[id]!, this.levels[id]!) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.slots = slots;
  }
}

function collectBits(word: number, base: number, into: number[]): void {
  for (let rest = word; rest !== 0; rest &= rest - 1) {
    into.push(base + 31 - Math.clz32(rest & -rest));
  }
}

function mix(left: number, right: number, level: number): number {
  let hash = Math.imul(left ^ (level << 27), 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
