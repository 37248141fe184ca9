// Service classes as one direction sees them.

import type { Direction } from '../policy/policy.js';
import { dividePoints, type PointSegments, type ServiceSet, type ServiceSets } from './services.js';

/** How a direction divides the service classes. */
export interface Columns {
  /** By service class: its column. */
  readonly colOf: Uint16Array;
  readonly count: number;
  /** By rule: the columns it matches. */
  readonly ofRule: readonly ColumnSet[];
}

/** Bitmaps over columns; only words first .. end - 1 have bits set. */
export interface ColumnSet {
  readonly matching: Uint32Array;
  /** Columns in which a port decides that the packet does not show. */
  readonly undecided: Uint32Array;
  readonly first: number;
  readonly end: number;
}

/**
 * Gives points that the same rules of this direction name the same column.
 * `segments` is the division by the rules of all directions; `name` says which
 * direction has too many.
 */
export function divideServices(
  direction: Direction,
  sets: ServiceSets,
  segments: PointSegments,
  name: string,
): Columns {
  const own = new Set<ServiceSet>();
  for (const { services } of direction.rules) {
    if (services !== 'any') own.add(sets.setOf(services));
  }
  const cut = dividePoints([...own], `ports of ${name}`);
  const columns = new Map<ServiceSet, ColumnSet>();
  for (const set of own) columns.set(set, columnSet(set, cut));
  const any = allColumns(cut.count);
  return {
    colOf: columnOfClass(segments, cut),
    count: cut.count,
    ofRule: direction.rules.map(({ services }) =>
      services === 'any' ? any : columns.get(sets.setOf(services))!,
    ),
  };
}

/** The column of each service class: both divisions of the axis side by side. */
function columnOfClass(segments: PointSegments, cut: PointSegments): Uint16Array {
  const colOf = new Uint16Array(segments.count);
  let at = 0;
  segments.starts.forEach((start, segment) => {
    while (at + 1 < cut.starts.length && cut.starts[at + 1]! <= start) at++;
    colOf[segments.classes[segment]!] = cut.classes[at]!;
  });
  return colOf;
}

function allColumns(count: number): ColumnSet {
  const words = (count + 31) >>> 5;
  const matching = new Uint32Array(words).fill(0xffffffff);
  if ((count & 31) !== 0) matching[words - 1] = 2 ** (count & 31) - 1;
  return { matching, undecided: new Uint32Array(words), first: 0, end: words };
}

function columnSet({ ranges, undecided }: ServiceSet, cut: PointSegments): ColumnSet {
  const words = (cut.count + 31) >>> 5;
  const set = { matching: new Uint32Array(words), undecided: new Uint32Array(words) };
  let first = words;
  let end = 0;
  const mark = (bitmap: Uint32Array, from: number, to: number): void => {
    let at = segmentAt(cut.starts, from);
    for (; at < cut.starts.length && cut.starts[at]! <= to; at++) {
      const word = cut.classes[at]! >>> 5;
      bitmap[word]! |= 1 << (cut.classes[at]! & 31);
      first = Math.min(first, word);
      end = Math.max(end, word + 1);
    }
  };
  for (let at = 0; at < ranges.length; at += 2) mark(set.matching, ranges[at]!, ranges[at + 1]!);
  for (const point of undecided) mark(set.undecided, point, point);
  return { ...set, first, end };
}

/** The segment that holds this point. */
function segmentAt(starts: Uint32Array, point: number): number {
  let low = 0;
  for (let high = starts.length; high - low > 1; ) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= point) low = middle;
    else high = middle;
  }
  return low;
}
