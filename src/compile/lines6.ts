// Lines of IPv6 ranges (struct line of bpf/abi.h): as full as a list allows.

import { grownU32 } from './growing.js';
import {
  CODE_BITS,
  CODE_LONG,
  LINE_CLASSES,
  LINE_CODES,
  LINE_LASTS,
  LINE_LONGS,
  LINE_WORDS,
  NO_LAST,
} from './layout.js';

/** Ranges in a line, at most. */
export const LINE_RANGES = LINE_LASTS + 1;

/** What a range of a line says: its class, or where it goes on in ranges6. */
export type LineValue =
  | { readonly kind: 'class'; readonly id: number }
  | { readonly kind: 'long'; readonly index: number };

/** A range, by number, of the line that begins at a word of `ranges4`. */
export function lineRange(ranges4: Uint32Array, line: number, range: number): LineValue {
  const codes = ranges4[line + LINE_CODES]!;
  const code = codeOf(codes, range);
  if (code < CODE_LONG) {
    const pair = ranges4[line + LINE_CLASSES / 2 + (code >> 1)]!;
    return { kind: 'class', id: (code & 1) === 0 ? pair & 0xffff : pair >>> 16 };
  }
  let index = ranges4[line + LINE_LONGS]!;
  for (let before = 0; before < range; before++) if (codeOf(codes, before) === CODE_LONG) index++;
  return { kind: 'long', index };
}

function codeOf(codes: number, range: number): number {
  return (codes >>> (range * CODE_BITS)) & CODE_LONG;
}

/** The lines under construction; they stand from index `base` of their table on. */
export class LineTable {
  count = 0;
  private readonly base: number;
  private words: Uint32Array<ArrayBuffer>;
  private halves: Uint16Array<ArrayBuffer>;
  /** Ranges in the last line. */
  private ranges = 0;
  /** Classes that the last line knows. */
  private known = 0;
  private hasLong = false;

  constructor(base: number, lines: number) {
    this.base = base;
    this.words = new Uint32Array(lines * LINE_WORDS);
    this.halves = new Uint16Array(this.words.buffer);
  }

  /** Forgets all lines but the first so many. */
  truncate(count: number): void {
    this.words.fill(0, count * LINE_WORDS, this.count * LINE_WORDS);
    this.count = count;
  }

  /** Begins a line; gives its index in the table. */
  begin(): number {
    const index = this.count++;
    this.words = grownU32(this.words, this.count * LINE_WORDS);
    if (this.halves.buffer !== this.words.buffer) this.halves = new Uint16Array(this.words.buffer);
    const at = index * LINE_WORDS;
    this.words.fill(NO_LAST, at, at + LINE_LASTS);
    this.ranges = 0;
    this.known = 0;
    this.hasLong = false;
    return this.base + index;
  }

  /** Appends a range of a class that begins at `key`; false when it needs another line. */
  addClass(key: number, id: number): boolean {
    const at = this.last;
    const classes = at * 2 + LINE_CLASSES;
    let code = 0;
    while (code < this.known && this.halves[classes + code] !== id) code++;
    if (this.ranges === LINE_RANGES || code === CODE_LONG) return false;
    if (code === this.known) this.halves[classes + this.known++] = id;
    this.append(at, key, code);
    return true;
  }

  /** As addClass, of one that goes on in ranges6; `index` follows the line's one before. */
  addLong(key: number, index: number): boolean {
    if (this.ranges === LINE_RANGES) return false;
    const at = this.last;
    if (!this.hasLong) this.words[at + LINE_LONGS] = index;
    this.hasLong = true;
    this.append(at, key, CODE_LONG);
    return true;
  }

  finished(): Uint32Array {
    return this.words.slice(0, this.count * LINE_WORDS);
  }

  /** Word at which the last line begins. */
  private get last(): number {
    return (this.count - 1) * LINE_WORDS;
  }

  private append(at: number, key: number, code: number): void {
    const range = this.ranges++;
    if (range > 0) this.words[at + range - 1] = key - 1;
    this.words[at + LINE_CODES]! |= code << (range * CODE_BITS);
  }
}
