// The cells table as a heap of shared arrays.

import { grownU16 } from './growing.js';
import { figure, MAX_CELLS, tooBig } from './limits.js';

/** Arrays of 16-bit cells, each stored once, however many directions use it. */
export class CellHeap {
  private cells = new Uint16Array(4096);
  private length = 0;
  /** By hash of the content: the places of arrays with that hash. */
  private readonly places = new Map<number, { offset: number; length: number }[]>();

  /** Where the array is in the heap: an equal one that is there already, or a copy. */
  place(array: Uint16Array): number {
    const hash = hashOf(array);
    const known = this.places.get(hash) ?? [];
    for (const { offset, length } of known) {
      if (length === array.length && this.isEqual(array, offset)) return offset;
    }
    const offset = this.length;
    if (offset + array.length > MAX_CELLS) {
      throw tooBig(
        `verdicts of all policies together need more than ${figure(MAX_CELLS)} cells`,
        'use fewer rules that name different addresses or ports',
      );
    }
    this.cells = grownU16(this.cells, offset + array.length);
    this.cells.set(array, offset);
    this.length += array.length;
    known.push({ offset, length: array.length });
    this.places.set(hash, known);
    return offset;
  }

  finished(): Uint16Array {
    return this.cells.slice(0, this.length);
  }

  private isEqual(array: Uint16Array, offset: number): boolean {
    for (let at = 0; at < array.length; at++) {
      if (array[at] !== this.cells[offset + at]) return false;
    }
    return true;
  }
}

/** 32 bits over length and content; equal arrays have equal hashes. */
export function hashOf(array: Uint16Array): number {
  let hash = array.length;
  for (let at = 0; at < array.length; at++) {
    hash = Math.imul(hash ^ array[at]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
