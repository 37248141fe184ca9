// First match, decided for every pair of address class and service class.

import type { Direction } from '../policy/policy.js';
import { divideServices } from './columns.js';
import { Grid } from './grid.js';
import { hashOf } from './heap.js';
import { figure, MAX_DIRECTION_CELLS, MAX_RULES, tooBig, type Place } from './limits.js';
import { divideClasses, type ListClasses } from './rows.js';
import type { PointSegments, ServiceSets } from './services.js';

/** The verdict table of one direction, in pieces that other directions may share. */
export interface Verdicts {
  /** By address class: its row. */
  readonly rowOf: Uint16Array;
  /** By service class: its column. */
  readonly colOf: Uint16Array;
  /** Row by row: the number of the rule that decides. */
  readonly cells: Uint16Array;
  readonly cols: number;
}

/** What all directions of a policy have in common. */
export interface Axes {
  readonly lists: ListClasses;
  readonly sets: ServiceSets;
  readonly segments: PointSegments;
}

/**
 * Finds for each address class and service class the first rule that matches,
 * else the default (number rules.length), or the rule for the unparsable
 * (rules.length + 1) where a port decides that the packet does not show.
 * Throws `invalid-policy` when the direction does not fit; `name` says which.
 */
export function decideAll(direction: Direction, axes: Axes, name: string, place: Place): Verdicts {
  const { rules } = direction;
  if (rules.length > MAX_RULES) {
    throw tooBig(
      `${name} has ${figure(rules.length)} rules, where ${figure(MAX_RULES)} fit`,
      'name several addresses or ports in one rule',
      place,
    );
  }
  const rows = divideClasses(direction, axes.lists);
  const columns = divideServices(direction, axes.sets, axes.segments, name);
  checkSize(rows.count, columns.count, name, place);
  const grid = new Grid(rows.count, columns.count, rules.length, rules.length + 1);
  rules.forEach((_, rule) => {
    const inRows = rows.ofRule[rule]!;
    const inColumns = columns.ofRule[rule]!;
    if (inRows === 'any') grid.takeAll(inColumns, rule);
    else for (const row of inRows) grid.take(row, inColumns, rule);
  });
  const merged = mergeRows(grid.cells, columns.count, rows.count);
  const rowOf = rows.rowOf.map((row) => merged.rowOf[row]!);
  return { rowOf, colOf: columns.colOf, cells: merged.cells, cols: columns.count };
}

function checkSize(rows: number, columns: number, name: string, place: Place): void {
  if (rows * columns <= MAX_DIRECTION_CELLS) return;
  throw tooBig(
    `${name} tells ${figure(rows)} groups of addresses and ${figure(columns)} groups of ports ` +
      `apart: ${figure(rows * columns)} verdicts, where ${figure(MAX_DIRECTION_CELLS)} fit`,
    'use fewer different port ranges, or fewer different addresses, in this direction',
    place,
  );
}

/** Keeps each row content once: rules that an earlier rule hides make rows that look alike. */
function mergeRows(cells: Uint16Array, cols: number, rows: number) {
  const rowOf = new Uint16Array(rows);
  const byHash = new Map<number, number[]>();
  let count = 0;
  for (let row = 0; row < rows; row++) {
    const content = cells.subarray(row * cols, row * cols + cols);
    const hash = hashOf(content);
    const known = byHash.get(hash) ?? [];
    const same = known.find((kept) => isRow(cells, kept * cols, content));
    if (same !== undefined) {
      rowOf[row] = same;
      continue;
    }
    if (count !== row) cells.copyWithin(count * cols, row * cols, row * cols + cols);
    rowOf[row] = count;
    known.push(count++);
    byHash.set(hash, known);
  }
  return { rowOf, cells: cells.subarray(0, count * cols) };
}

function isRow(cells: Uint16Array, at: number, content: Uint16Array): boolean {
  for (let col = 0; col < content.length; col++) {
    if (cells[at + col] !== content[col]) return false;
  }
  return true;
}
