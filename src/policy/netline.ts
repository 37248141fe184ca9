// One line of a set file in its plain form, read from bytes.
//
// A list of a million lines is read in a fifth of a second this way; through
// strings it takes two. Whatever is not plain is left to the strict reader of
// base/address.ts, which also says what is wrong with it.

import { maskOf } from '../base/address.js';

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const HASH = 35;
const SEMICOLON = 59;
const DOT = 46;
const SLASH = 47;
const COLON = 58;

/** What was read last; one object for a whole file. */
export interface Line {
  /** 1 for IPv4, 4 for IPv6, 0 for a line without an address. */
  words: 0 | 1 | 4;
  /** First and last address: two words or eight. */
  readonly range: Uint32Array;
  hasHostBits: boolean;
  /** Where the address and its length end. */
  end: number;
}

/** A line to read into. */
export function newLine(): Line {
  return { words: 0, range: new Uint32Array(8), hasHostBits: false, end: 0 };
}

/** Reads the line at `start`; returns where the next begins, or -1 when this one needs the strict reader. */
export function readLine(bytes: Uint8Array, start: number, line: Line): number {
  line.words = 0;
  const blank = skipBlank(bytes, start);
  if (blank >= 0) return blank;
  const end = readV4(bytes, start, line);
  if (end >= 0) return skipBlank(bytes, end);
  const end6 = readV6(bytes, start, line);
  return end6 >= 0 ? skipBlank(bytes, end6) : -1;
}

/** Start of the next line when only white space and a comment are left of this one, else -1. */
function skipBlank(bytes: Uint8Array, start: number): number {
  let i = start;
  while (bytes[i] === SPACE || bytes[i] === TAB || bytes[i] === CR) i++;
  if (i >= bytes.length) return bytes.length;
  if (bytes[i] === LF) return i + 1;
  return bytes[i] === HASH || bytes[i] === SEMICOLON ? nextLine(bytes, i) : -1;
}

/** Start of the line after the one that `from` is in. */
export function nextLine(bytes: Uint8Array, from: number): number {
  const end = bytes.indexOf(LF, from);
  return end < 0 ? bytes.length : end + 1;
}

function readV4(bytes: Uint8Array, start: number, line: Line): number {
  let i = start;
  let address = 0;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && bytes[i++] !== DOT) return -1;
    const first = i;
    let value = 0;
    for (
      let digit = (bytes[i] as number) - 48;
      digit >= 0 && digit <= 9;
      digit = (bytes[i] as number) - 48
    ) {
      value = value * 10 + digit;
      i++;
    }
    if (i === first || i - first > 3 || value > 255 || (i - first > 1 && bytes[first] === 48))
      return -1;
    address = address * 256 + value;
  }
  const bits = readLength(bytes, i, 32);
  if (bits < 0) return -1;
  const mask = maskOf(bits);
  line.range[0] = address & mask;
  line.range[1] = address | ~mask;
  line.hasHostBits = (address & ~mask) !== 0;
  line.words = 1;
  line.end = lengthEnd(bytes, i);
  return line.end;
}

/** The prefix length at a slash, `width` where there is no slash, or -1. */
function readLength(bytes: Uint8Array, at: number, width: number): number {
  if (bytes[at] !== SLASH) return width;
  const end = lengthEnd(bytes, at);
  let bits = 0;
  for (let i = at + 1; i < end; i++) bits = bits * 10 + (bytes[i] as number) - 48;
  const isOdd =
    end === at + 1 || end - at > 4 || bits > width || (bytes[at + 1] === 48 && end > at + 2);
  return isOdd ? -1 : bits;
}

function lengthEnd(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== SLASH) return at;
  let i = at + 1;
  while ((bytes[i] as number) >= 48 && (bytes[i] as number) <= 57) i++;
  return i;
}

const groups = new Uint16Array(8);

/** Groups of hexadecimal digits with at most one `::`; IPv4-mapped and mixed forms are not plain. */
function readV6(bytes: Uint8Array, start: number, line: Line): number {
  let i = start;
  let count = 0;
  let gap = -1;
  if (bytes[i] === COLON && bytes[i + 1] === COLON) {
    gap = 0;
    i += 2;
  }
  while (count < 8) {
    const first = i;
    let value = 0;
    for (let digit = hexDigit(bytes[i]); digit >= 0; digit = hexDigit(bytes[i])) {
      value = value * 16 + digit;
      i++;
    }
    if (i - first > 4) return -1;
    if (i === first) {
      if (gap !== count) return -1;
      break;
    }
    groups[count++] = value;
    if (bytes[i] !== COLON) break;
    i++;
    if (bytes[i] === COLON) {
      if (gap >= 0) return -1;
      gap = count;
      i++;
    }
  }
  if (
    gap < 0
      ? count !== 8 || bytes[i - 1] === COLON
      : count > 7 || (bytes[i - 1] === COLON && gap !== count)
  )
    return -1;
  const bits = readLength(bytes, i, 128);
  if (bits < 0) return -1;
  fillV6(line, count, gap, bits);
  if (bits >= 96 && line.range[0] === 0 && line.range[1] === 0 && line.range[2] === 0xffff)
    return -1;
  line.words = 4;
  line.end = lengthEnd(bytes, i);
  return line.end;
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined || byte < 48) return -1;
  if (byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function fillV6(line: Line, count: number, gap: number, bits: number): void {
  const head = gap < 0 ? count : gap;
  const shift = 8 - count;
  line.hasHostBits = false;
  for (let word = 0; word < 4; word++) {
    const value = (groupAt(2 * word, head, shift) << 16) | groupAt(2 * word + 1, head, shift);
    const mask = maskOf(bits - 32 * word);
    line.range[word] = value & mask;
    line.range[4 + word] = value | ~mask;
    if ((value & ~mask) !== 0) line.hasHostBits = true;
  }
}

function groupAt(index: number, head: number, shift: number): number {
  if (index < head) return groups[index] as number;
  return index < head + shift ? 0 : (groups[index - shift] as number);
}
