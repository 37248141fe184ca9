// Set files: one address or prefix a line, a million lines an ordinary size.

import { parsePrefix, type BadAddress } from '../base/address.js';
import type { Diagnostic } from '../base/error.js';
import { mergeRanges, type AddressRanges } from '../base/ranges.js';
import { quote } from '../base/suggest.js';
import { newLine, nextLine, readLine } from './netline.js';

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
  readonly firstNormalised?: {
    readonly line: number;
    readonly found: string;
    readonly corrected: string;
  };
  /** Errors: the file cannot be used. */
  readonly diagnostics: readonly Diagnostic[];
}

interface Reader {
  readonly bytes: Uint8Array;
  readonly file: string;
  readonly v4: Words;
  readonly v6: Words;
  entries: number;
  normalised: number;
  firstNormalised?: { line: number; found: string; corrected: string };
  badLines: number;
  readonly diagnostics: Diagnostic[];
}

/** Ranges that grow. */
interface Words {
  all: Uint32Array;
  length: number;
}

/**
 * Reads a set file: `#` and `;` begin a comment, blank lines, CRLF and a byte
 * order mark are fine. Host bits are cleared and counted, since public lists
 * have them; any other line that is no address or prefix is an error. Works on
 * bytes: a million IPv4 lines are read and merged in some 200 ms. Pure.
 */
export function parseNetset(bytes: Uint8Array, file: string): Netset {
  const v4 = { all: new Uint32Array(1024), length: 0 };
  const v6 = { all: new Uint32Array(1024), length: 0 };
  const reader: Reader = {
    bytes,
    file,
    v4,
    v6,
    entries: 0,
    normalised: 0,
    badLines: 0,
    diagnostics: [],
  };
  readAll(reader);
  if (reader.badLines > MAX_BAD_LINES) reader.diagnostics.push(moreBad(reader));
  const ranges = mergeRanges({
    v4: v4.all.subarray(0, v4.length),
    v6: v6.all.subarray(0, v6.length),
  });
  const { entries, normalised, firstNormalised, diagnostics } = reader;
  return {
    ranges,
    entries,
    normalised,
    diagnostics,
    ...(firstNormalised === undefined ? {} : { firstNormalised }),
  };
}

function readAll(reader: Reader): void {
  const { bytes } = reader;
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const line = newLine();
  let number = 1;
  for (let start = hasMark ? 3 : 0; start < bytes.length; number++) {
    const next = readLine(bytes, start, line);
    if (next < 0) {
      start = readStrictly(reader, start, number);
      continue;
    }
    if (line.words > 0 && line.hasHostBits) noteNormalised(reader, start, line.end, number);
    if (line.words === 1) push(reader, reader.v4, line.range, 2);
    else if (line.words === 4) push(reader, reader.v6, line.range, 8);
    start = next;
  }
}

function push(reader: Reader, words: Words, range: ArrayLike<number>, count: number): void {
  if (words.length + count > words.all.length) {
    const larger = new Uint32Array(words.all.length * 2);
    larger.set(words.all);
    words.all = larger;
  }
  for (let i = 0; i < count; i++) words.all[words.length++] = range[i] as number;
  reader.entries++;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Indented lines, mixed notation, and every mistake. */
function readStrictly(reader: Reader, start: number, line: number): number {
  const next = nextLine(reader.bytes, start);
  const text = decoder.decode(reader.bytes.subarray(start, next)).replace(/\r?\n$/, '');
  const comment = text.search(/[#;]/);
  const written = (comment < 0 ? text : text.slice(0, comment)).trim();
  if (written === '') return next;
  const prefix = parsePrefix(written);
  if (prefix.kind === 'bad') {
    reader.badLines++;
    if (reader.badLines <= MAX_BAD_LINES)
      reader.diagnostics.push(badLine(reader.file, line, text, written, prefix));
    return next;
  }
  if (prefix.hasHostBits) noteNormalised(reader, start, next, line);
  const range = [...prefix.first, ...prefix.last];
  push(reader, prefix.family === 4 ? reader.v4 : reader.v6, range, range.length);
  return next;
}

function noteNormalised(reader: Reader, start: number, end: number, line: number): void {
  if (reader.normalised++ > 0) return;
  const found =
    decoder
      .decode(reader.bytes.subarray(start, end))
      .split(/[#;\n]/)[0]
      ?.trim() ?? '';
  const prefix = parsePrefix(found);
  reader.firstNormalised = {
    line,
    found,
    corrected: prefix.kind === 'prefix' ? prefix.text : found,
  };
}

function badLine(
  file: string,
  line: number,
  text: string,
  written: string,
  { reason, fix }: BadAddress,
): Diagnostic {
  const shown = text.slice(0, 400);
  const column = Math.min(text.indexOf(written), shown.length) + 1;
  const length = Math.max(1, Math.min(written.length, shown.length - column + 1));
  return {
    severity: 'error',
    code: 'address',
    message: `${quote(written)} ${reason}`,
    fix,
    at: { file, line, column, length, text: shown },
  };
}

function moreBad(reader: Reader): Diagnostic {
  const more = reader.badLines - MAX_BAD_LINES;
  const last = reader.diagnostics.at(-1)?.at;
  return {
    severity: 'error',
    code: 'set-file',
    message: `${reader.file} has ${more} more ${more === 1 ? 'line that is' : 'lines that are'} not an address or prefix`,
    fix: 'check that this is a list of addresses: one address or prefix a line, # and ; begin comments',
    at: { file: reader.file, line: (last?.line ?? 0) + 1, column: 1, length: 1, text: '' },
  };
}
