// Set files: one address or prefix a line, a million lines an ordinary size.

import type { Diagnostic } from '../base/error.js';
import { concatRanges, mergeRanges, type AddressRanges } from '../base/ranges.js';
import { MAX_BAD_LINES, readChunk, type Chunk, type Normalised } from './netchunk.js';
import { nextLine } from './netline.js';

export { MAX_BAD_LINES };

/** Bytes of a chunk, up to the end of the line. */
const CHUNK_BYTES = 1 << 16;

/** What a set file holds. */
export interface Netset {
  readonly ranges: AddressRanges;
  /** Lines with an address or prefix. */
  readonly entries: number;
  /** Lines whose host bits were cleared. */
  readonly normalised: number;
  /** The first of these, for the warning. */
  readonly firstNormalised?: Normalised;
  /** Errors: the file cannot be used. */
  readonly diagnostics: readonly Diagnostic[];
  /** What a next version can take over. */
  readonly chunks: readonly Chunk[];
}

/**
 * Reads a set file: `#` and `;` begin a comment, blank lines, CRLF and a byte
 * order mark are fine. Host bits are cleared and counted, since public lists
 * have them; any other line that is no address or prefix is an error. What
 * `previous`, an older version of the file, has in common with it at beginning
 * and end is not read again. Pure; keeps `bytes`.
 */
export function parseNetset(
  bytes: Uint8Array,
  file: string,
  previous?: Netset,
  chunkBytes = CHUNK_BYTES,
): Netset {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const content = hasMark ? bytes.subarray(3) : bytes;
  const chunks = readChunks(content, previous?.chunks ?? [], chunkBytes);
  const sum = (count: (chunk: Chunk) => number): number =>
    chunks.reduce((total, chunk) => total + count(chunk), 0);
  const first = firstNormalised(chunks);
  return {
    ranges: mergeRanges(concatRanges(chunks)),
    entries: sum(({ entries }) => entries),
    normalised: sum(({ normalised }) => normalised),
    diagnostics: badLines(chunks, file),
    ...(first === undefined ? {} : { firstNormalised: first }),
    chunks,
  };
}

function readChunks(bytes: Uint8Array, known: readonly Chunk[], chunkBytes: number): Chunk[] {
  const { head, tail } = common(bytes, known);
  const middle: Chunk[] = [];
  const end = bytes.length - lengthOf(tail);
  for (let start = lengthOf(head); start < end;) {
    const next = Math.min(end, nextLine(bytes, Math.min(end, start + chunkBytes) - 1));
    middle.push(readChunk(bytes.subarray(start, next)));
    start = next;
  }
  return [...head, ...middle, ...tail];
}

/** The chunks with which the bytes begin, and those with which what is left of them ends. */
function common(
  bytes: Uint8Array,
  known: readonly Chunk[],
): { readonly head: Chunk[]; readonly tail: Chunk[] } {
  let start = 0;
  let from = 0;
  for (; from < known.length; from++) {
    const chunk = known[from] as Chunk;
    if (!endsLine(chunk) || !isSame(bytes.subarray(start, start + chunk.bytes.length), chunk))
      break;
    start += chunk.bytes.length;
  }
  let end = bytes.length;
  let until = known.length;
  for (; until > from; until--) {
    const chunk = known[until - 1] as Chunk;
    const begin = end - chunk.bytes.length;
    if (begin < start || !isSame(bytes.subarray(begin, end), chunk)) break;
    end = begin;
  }
  // A chunk holds whole lines: what comes before the tail must end with one.
  while (until < known.length && end > 0 && bytes[end - 1] !== LF) {
    end += (known[until] as Chunk).bytes.length;
    until++;
  }
  return { head: onto(bytes, 0, known.slice(0, from)), tail: onto(bytes, end, known.slice(until)) };
}

/** The chunks as parts of the new bytes: as parts of the old ones they would keep all of those. */
function onto(bytes: Uint8Array, offset: number, chunks: readonly Chunk[]): Chunk[] {
  let start = offset;
  return chunks.map((chunk) => {
    const end = start + chunk.bytes.length;
    const moved = { ...chunk, bytes: bytes.subarray(start, end) };
    start = end;
    return moved;
  });
}

const LF = 10;

function endsLine({ bytes }: Chunk): boolean {
  return bytes.at(-1) === LF;
}

function isSame(bytes: Uint8Array, chunk: Chunk): boolean {
  return bytes.length === chunk.bytes.length && Buffer.compare(bytes, chunk.bytes) === 0;
}

function lengthOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((total, { bytes }) => total + bytes.length, 0);
}

function firstNormalised(chunks: readonly Chunk[]): Normalised | undefined {
  let line = 1;
  for (const chunk of chunks) {
    const { firstNormalised: first } = chunk;
    if (first !== undefined) return { ...first, line: line + first.line };
    line += chunk.lines;
  }
  return undefined;
}

function badLines(chunks: readonly Chunk[], file: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  let total = 0;
  let line = 1;
  for (const chunk of chunks) {
    total += chunk.badLines;
    for (const { message, fix, at } of chunk.bad) {
      if (found.length === MAX_BAD_LINES) break;
      const place = { file, ...at, line: line + at.line };
      found.push({ severity: 'error', code: 'address', message, fix, at: place });
    }
    line += chunk.lines;
  }
  if (total > MAX_BAD_LINES)
    found.push(moreBad(file, total - MAX_BAD_LINES, found.at(-1)?.at?.line ?? 0));
  return found;
}

function moreBad(file: string, more: number, lastLine: number): Diagnostic {
  return {
    severity: 'error',
    code: 'set-file',
    message: `${file} has ${more} more ${more === 1 ? 'line that is' : 'lines that are'} not an address or prefix`,
    fix: 'check that this is a list of addresses: one address or prefix a line, # and ; begin comments',
    at: { file, line: lastLine + 1, column: 1, length: 1, text: '' },
  };
}
