// The verdict cells of one direction while rules take them.

import type { ColumnSet } from './columns.js';

/**
 * Rows times columns of rule numbers. Rules come in order and take what no
 * earlier rule took: each cell is written once, a row that is full is left
 * alone, so that thousands of rules that overlap cost little more than one.
 */
export class Grid {
  readonly cells: Uint16Array;
  private readonly cols: number;
  private readonly words: number;
  private readonly unparsable: number;
  /** Bitmap of cells that no rule has taken yet, `words` words a row. */
  private readonly free: Uint32Array;
  private readonly freeInRow: Uint32Array;
  /** Rows that are not full, for the rules that match any address. */
  private open: Uint32Array;

  /** What no rule takes has the number `ofDefault`; `unparsable` is where a port is missing. */
  constructor(rows: number, cols: number, ofDefault: number, unparsable: number) {
    this.cells = new Uint16Array(rows * cols).fill(ofDefault);
    this.cols = cols;
    this.words = (cols + 31) >>> 5;
    this.unparsable = unparsable;
    this.free = new Uint32Array(rows * this.words).fill(0xffffffff);
    this.freeInRow = new Uint32Array(rows).fill(cols);
    this.open = Uint32Array.from({ length: rows }, (_, row) => row);
  }

  /** The rule takes what is free of these columns, in this row. */
  take(row: number, columns: ColumnSet, rule: number): void {
    if (this.freeInRow[row] === 0) return;
    const { free } = this;
    const base = row * this.words;
    for (let word = columns.first; word < columns.end; word++) {
      const before = free[base + word]!;
      const matching = before & columns.matching[word]!;
      const undecided = before & columns.undecided[word]!;
      if ((matching | undecided) === 0) continue;
      free[base + word] = before & ~(matching | undecided);
      const taken = this.write(row, word, matching, rule) + this.write(row, word, undecided, this.unparsable);
      this.freeInRow[row]! -= taken;
    }
  }

  /** As take, in every row. */
  takeAll(columns: ColumnSet, rule: number): void {
    let count = 0;
    for (const row of this.open) {
      this.take(row, columns, rule);
      if (this.freeInRow[row] !== 0) this.open[count++] = row;
    }
    this.open = this.open.subarray(0, count);
  }

  private write(row: number, word: number, columns: number, rule: number): number {
    const base = row * this.cols + word * 32;
    let written = 0;
    for (let rest = columns; rest !== 0; rest &= rest - 1, written++) {
      this.cells[base + 31 - Math.clz32(rest & -rest)] = rule;
    }
    return written;
  }
}
