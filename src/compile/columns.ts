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

/** The columns of one service set. */
export interface ColumnSet {
  /** Pairs [first, end) of columns that match. */
  readonly runs: readonly number[];
  /** Columns in which a port decides that the packet does not show. */
  readonly undecided: readonly number[];
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
  const any: ColumnSet = { runs: [0, cut.count], undecided: [] };
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

/** Columns count along the axis, so that a port range is nearly always one run. */
function columnSet(
  { ranges, undecided }: ServiceSet,
  { starts, classes }: PointSegments,
): ColumnSet {
  const runs: number[] = [];
  for (let at = 0; at < ranges.length; at += 2) {
    let segment = segmentAt(starts, ranges[at]!);
    for (; segment < starts.length && starts[segment]! <= ranges[at + 1]!; segment++) {
      const column = classes[segment]!;
      if (runs.at(-1) === column) runs[runs.length - 1] = column + 1;
      else runs.push(column, column + 1);
    }
  }
  return { runs, undecided: undecided.map((point) => classes[segmentAt(starts, point)]!) };
}

/** The segment that holds this point. */
function segmentAt(starts: Uint32Array, point: number): number {
  let low = 0;
  for (let high = starts.length; high - low > 1;) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= point) low = middle;
    else high = middle;
  }
  return low;
}
