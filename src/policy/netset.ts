// Set files: one address or prefix a line, a million lines an ordinary size.

import { maskOf, parsePrefix } from '../base/address.js';
import type { Diagnostic } from '../base/error.js';
import { mergeRanges, type AddressRanges } from '../base/ranges.js';
import { quote } from '../base/suggest.js';

/** How many bad lines are shown; the rest is counted. */
export const MAX_BAD_LINES = 10;

/** What a set file holds. */
export interface Netset {
  readonly ranges: AddressRanges;
  /** Lines with an address or prefix. */
  readonly entries: number;
  /** Lines whose host bits were cleared. */
  readonly normalised: number;
  /** The first of these, for the warning. */
  readonly firstNormalised?: { readonly line: number; readonly found: string; readonly corrected: string };
  /** Errors: the file cannot be used. */
  readonly diagnostics: readonly Diagnostic[];
}

interface Reader {
  readonly bytes: Uint32Array | Uint8Array;
  readonly file: string;
  v4: Uint32Array;
  v4Length: number;
  v6: Uint32Array;
  v6Length: number;
  entries: number;
  normalised: number;
  firstNormalised?: { line: number; found: string; corrected: string };
  badLines: number;
  readonly diagnostics: Diagnostic[];
}

const LF = 10;
const SPACE = 32;
const TAB = 9;
const CR = 13;
const HASH = 35;
const SEMICOLON = 59;
const DOT = 46;
const SLASH = 47;

/**
 * Reads a set file: `#` and `;` begin a comment, blank lines, CRLF and a byte
 * order mark are fine. Host bits are cleared and counted, since public lists
 * have them; any other line that is no address or prefix is an error. Works on
 * bytes: a million IPv4 lines are read and merged in some 200 ms. Pure.
 */
export function parseNetset(bytes: Uint8Array, file: string): Netset {
  const reader: Reader = {
    bytes, file, v4: new Uint32Array(1024), v4Length: 0, v6: new Uint32Array(0), v6Length: 0,
    entries: 0, normalised: 0, badLines: 0, diagnostics: [],
  };
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  let line = 1;
  for (let start = hasMark ? 3 : 0; start < bytes.length; line++) {
    const fast = readV4(reader, bytes, start, line);
    start = fast >= 0 ? fast : readSlow(reader, bytes, start, line);
  }
  if (reader.badLines > MAX_BAD_LINES) reader.diagnostics.push(moreBad(reader));
  const ranges = mergeRanges({ v4: reader.v4.subarray(0, reader.v4Length), v6: reader.v6.subarray(0, reader.v6Length) });
  const { entries, normalised, firstNormalised, diagnostics } = reader;
  return { ranges, entries, normalised, diagnostics, ...(firstNormalised === undefined ? {} : { firstNormalised }) };
}

/**
 * Reads a line that is an IPv4 address or prefix in the plainest form, or
 * blank, or a comment. Returns the start of the next line, or -1 when the line
 * needs a closer look.
 */
function readV4(reader: Reader, bytes: Uint8Array, start: number, line: number): number {
  let i = start;
  let address = 0;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && bytes[i++] !== DOT) return octet === 1 ? skipBlank(bytes, start) : -1;
    const first = i;
    let value = 0;
    for (let digit = (bytes[i] ?? 0) - 48; digit >= 0 && digit <= 9; digit = (bytes[i] ?? 0) - 48) {
      value = value * 10 + digit;
      i++;
    }
    const isOdd = i === first || i - first > 3 || value > 255 || (i - first > 1 && bytes[first] === 48);
    if (isOdd) return octet === 0 ? skipBlank(bytes, start) : -1;
    address = address * 256 + value;
  }
  let bits = 32;
  if (bytes[i] === SLASH) {
    const first = ++i;
    bits = 0;
    for (let digit = (bytes[i] ?? 0) - 48; digit >= 0 && digit <= 9; digit = (bytes[i] ?? 0) - 48) {
      bits = bits * 10 + digit;
      i++;
    }
    if (i === first || i - first > 2 || bits > 32 || (i - first > 1 && bytes[first] === 48)) return -1;
  }
  const next = skipBlank(bytes, i);
  if (next < 0) return -1;
  const mask = maskOf(bits);
  if ((address & ~mask) !== 0) noteNormalised(reader, bytes, start, i, line);
  pushV4(reader, (address & mask) >>> 0, (address | ~mask) >>> 0);
  return next;
}

/** Start of the next line when only white space and a comment are left of this one, else -1. */
function skipBlank(bytes: Uint8Array, start: number): number {
  let i = start;
  while (bytes[i] === SPACE || bytes[i] === TAB || bytes[i] === CR) i++;
  if (i >= bytes.length) return bytes.length;
  if (bytes[i] === LF) return i + 1;
  return bytes[i] === HASH || bytes[i] === SEMICOLON ? nextLine(bytes, i) : -1;
}

function nextLine(bytes: Uint8Array, from: number): number {
  const end = bytes.indexOf(LF, from);
  return end < 0 ? bytes.length : end + 1;
}

function pushV4(reader: Reader, first: number, last: number): void {
  if (reader.v4Length === reader.v4.length) reader.v4 = enlarge(reader.v4);
  reader.v4[reader.v4Length++] = first;
  reader.v4[reader.v4Length++] = last;
  reader.entries++;
}

function enlarge(words: Uint32Array): Uint32Array {
  const larger = new Uint32Array(Math.max(1024, words.length * 2));
  larger.set(words);
  return larger;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** IPv6, odd spacing, and every mistake. */
function readSlow(reader: Reader, bytes: Uint8Array, start: number, line: number): number {
  const next = nextLine(bytes, start);
  const text = decoder.decode(bytes.subarray(start, next)).replace(/\r?\n$/, '');
  const comment = text.search(/[#;]/);
  const written = (comment < 0 ? text : text.slice(0, comment)).trim();
  if (written === '') return next;
  const prefix = parsePrefix(written);
  if (prefix.kind === 'bad') {
    reader.badLines++;
    if (reader.badLines <= MAX_BAD_LINES) reader.diagnostics.push(badLine(reader.file, line, text, written, prefix.reason, prefix.fix));
    return next;
  }
  if (prefix.hasHostBits) noteNormalised(reader, bytes, start, next, line);
  if (prefix.family === 4) {
    pushV4(reader, prefix.first[0] ?? 0, prefix.last[0] ?? 0);
    return next;
  }
  if (reader.v6Length === reader.v6.length) reader.v6 = enlarge(reader.v6);
  for (let k = 0; k < 4; k++) {
    reader.v6[reader.v6Length + k] = prefix.first[k] ?? 0;
    reader.v6[reader.v6Length + 4 + k] = prefix.last[k] ?? 0;
  }
  reader.v6Length += 8;
  reader.entries++;
  return next;
}

function noteNormalised(reader: Reader, bytes: Uint8Array, start: number, end: number, line: number): void {
  if (reader.normalised++ > 0) return;
  const found = decoder.decode(bytes.subarray(start, end)).split(/[#;\n]/)[0]?.trim() ?? '';
  const prefix = parsePrefix(found);
  reader.firstNormalised = { line, found, corrected: prefix.kind === 'prefix' ? prefix.text : found };
}

function badLine(file: string, line: number, text: string, written: string, reason: string, fix: string): Diagnostic {
  const shown = text.slice(0, 400);
  const column = Math.min(text.indexOf(written), shown.length) + 1;
  const length = Math.max(1, Math.min(written.length, shown.length - column + 1));
  return { severity: 'error', code: 'address', message: `${quote(written)} ${reason}`, fix, at: { file, line, column, length, text: shown } };
}

function moreBad(reader: Reader): Diagnostic {
  const more = reader.badLines - MAX_BAD_LINES;
  return {
    severity: 'error', code: 'set-file',
    message: `${reader.file} has ${more} more ${more === 1 ? 'line that is' : 'lines that are'} not an address or prefix`,
    fix: 'check that this is a list of addresses: one address or prefix a line, # and ; begin comments',
  };
}
