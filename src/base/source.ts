// A text with a name, and the way from offsets in it to positions for people.

import type { Position } from './error.js';

/** A piece of a text: offsets in UTF-16 units, the end not included. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A text whose mistakes can be pointed at. */
export interface Source {
  readonly file: string;
  readonly text: string;
  /** Offset of the first character of every line. */
  readonly lineStarts: Uint32Array;
}

/** Indexes the lines of a text; a line ends at LF, a CR before it belongs to the end. */
export function sourceOf(text: string, file: string): Source {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return { file, text, lineStarts: Uint32Array.from(starts) };
}

/** Line of an offset, from 1. */
export function lineAt(source: Source, offset: number): number {
  const { lineStarts } = source;
  let low = 0;
  let high = lineStarts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return low + 1;
}

/**
 * The position of a span; column and length count characters (code points).
 * A span over several lines is marked on its first line only.
 */
export function locate(source: Source, span: Span): Position {
  const line = lineAt(source, span.start);
  const start = source.lineStarts[line - 1] ?? 0;
  const end = (source.lineStarts[line] ?? source.text.length + 1) - 1;
  const text = source.text.slice(start, source.text[end - 1] === '\r' ? end - 1 : end);
  const from = Math.min(span.start - start, text.length);
  const to = Math.min(Math.max(span.end - start, from), text.length);
  return {
    file: source.file,
    line,
    column: countCharacters(text, 0, from) + 1,
    length: Math.max(1, countCharacters(text, from, to)),
    text,
  };
}

function countCharacters(text: string, from: number, to: number): number {
  if (!/[\ud800-\udbff]/.test(text.slice(from, to))) return to - from;
  let count = 0;
  for (let i = from; i < to; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}
