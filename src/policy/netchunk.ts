// A stretch of whole lines of a set file, read by itself.
//
// A file is read in stretches so that the next version of it costs only what
// changed: a stretch with the same bytes is not read again.

import { parsePrefix, type BadAddress } from '../base/address.js';
import { quote } from '../base/suggest.js';
import { newLine, nextLine, readLine } from './netline.js';

/** How many bad lines are shown; the rest is counted. */
export const MAX_BAD_LINES = 10;

/** A line that is no address or prefix; its number counts from 0 within the chunk. */
export interface BadLine {
  readonly message: string;
  readonly fix: string;
  readonly at: {
    readonly line: number;
    readonly column: number;
    readonly length: number;
    readonly text: string;
  };
}

export interface Normalised {
  readonly line: number;
  readonly found: string;
  readonly corrected: string;
}

export interface Chunk {
  readonly bytes: Uint8Array;
  readonly lines: number;
  /** Ranges as written: unsorted, overlapping. */
  readonly v4: Uint32Array;
  readonly v6: Uint32Array;
  readonly entries: number;
  readonly normalised: number;
  readonly firstNormalised?: Normalised;
  /** All bad lines, and the first of them. */
  readonly badLines: number;
  readonly bad: readonly BadLine[];
}

interface Reader {
  readonly bytes: Uint8Array;
  readonly v4: Words;
  readonly v6: Words;
  entries: number;
  normalised: number;
  firstNormalised?: Normalised;
  badLines: number;
  readonly bad: BadLine[];
}

/** Ranges that grow. */
interface Words {
  all: Uint32Array;
  length: number;
}

/** Reads whole lines; works on bytes, since strings would take ten times as long. */
export function readChunk(bytes: Uint8Array): Chunk {
  const reader: Reader = {
    bytes,
    v4: { all: new Uint32Array(1024), length: 0 },
    v6: { all: new Uint32Array(64), length: 0 },
    entries: 0,
    normalised: 0,
    badLines: 0,
    bad: [],
  };
  const lines = readAll(reader);
  const { v4, v6, ...rest } = reader;
  return {
    ...rest,
    lines,
    v4: v4.all.slice(0, v4.length),
    v6: v6.all.slice(0, v6.length),
  };
}

/** The number of lines. */
function readAll(reader: Reader): number {
  const { bytes } = reader;
  const line = newLine();
  let number = 0;
  for (let start = 0; start < bytes.length; number++) {
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
  return number;
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
    if (reader.badLines <= MAX_BAD_LINES) reader.bad.push(badLine(line, text, written, prefix));
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
  line: number,
  text: string,
  written: string,
  { reason, fix }: BadAddress,
): BadLine {
  const shown = text.slice(0, 400);
  const column = Math.min(text.indexOf(written), shown.length) + 1;
  const length = Math.max(1, Math.min(written.length, shown.length - column + 1));
  return {
    message: `${quote(written)} ${reason}`,
    fix,
    at: { line, column, length, text: shown },
  };
}
