// The verdict rows of one direction, each content once.

import { grownU16 } from './growing.js';
import { hashOf } from './heap.js';

/** Rules that earlier rules hide make rows that look alike: they are stored as one. */
export class RowStore {
  private readonly cols: number;
  private readonly byHash = new Map<number, number[]>();
  private cells: Uint16Array<ArrayBuffer>;
  private count = 0;

  constructor(cols: number) {
    this.cols = cols;
    this.cells = new Uint16Array(cols * 4);
  }

  get cellCount(): number {
    return this.count * this.cols;
  }

  /** The number of the row with these claims (rule * 2, plus 1 for `unparsable`). */
  add(claims: Uint32Array, unparsable: number): number {
    const { cols, count } = this;
    this.cells = grownU16(this.cells, (count + 1) * cols);
    const row = this.cells.subarray(count * cols, (count + 1) * cols);
    for (let col = 0; col < cols; col++) {
      const claim = claims[col]!;
      row[col] = (claim & 1) === 1 ? unparsable : claim >>> 1;
    }
    const hash = hashOf(row);
    const known = this.byHash.get(hash);
    const same = known?.find((other) => this.isEqual(other, row));
    if (same !== undefined) return same;
    if (known === undefined) this.byHash.set(hash, [count]);
    else known.push(count);
    return this.count++;
  }

  finished(): Uint16Array {
    return this.cells.slice(0, this.cellCount);
  }

  private isEqual(other: number, row: Uint16Array): boolean {
    const from = other * this.cols;
    for (let col = 0; col < row.length; col++) {
      if (this.cells[from + col] !== row[col]) return false;
    }
    return true;
  }
}
