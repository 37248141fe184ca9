// First match, decided for every pair of address class and service class.

import type { Direction } from '../policy/policy.js';
import { divideServices, type ColumnSet } from './columns.js';
import { figure, MAX_DIRECTION_CELLS, MAX_RULES, tooBig, type Place } from './limits.js';
import { RowStore } from './row-store.js';
import { divideClasses, groupRules, type ListClasses, type RuleGroup } from './rows.js';
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
 *
 * Rules that name the same addresses are first decided among themselves; a row
 * is then the least of the few groups that match there. Thousands of rules that
 * overlap one packet therefore cost no more than what they leave of each other.
 * Throws `invalid-policy` when the direction does not fit; `name` says which.
 */
export function decideAll(direction: Direction, axes: Axes, name: string, place: Place): Verdicts {
  const ruleCount = direction.rules.length;
  if (ruleCount > MAX_RULES) {
    throw tooBig(
      `${name} has ${figure(ruleCount)} rules, where ${figure(MAX_RULES)} fit`,
      'name several addresses or ports in one rule',
      place,
    );
  }
  const groups = groupRules(direction, axes.lists);
  const rows = divideClasses(groups, axes.lists.classCount);
  const columns = divideServices(direction, axes.sets, axes.segments, name);
  const scratch = new Uint32Array(columns.count);
  const claims = new Map<RuleGroup, Uint32Array>();
  for (const group of groups) claims.set(group, claimsOf(group, columns.ofRule, scratch));
  const store = new RowStore(columns.count);
  const storedOf = rows.groups.map((own) => {
    scratch.fill(ruleCount * 2);
    for (const group of own) applyClaims(claims.get(group)!, scratch);
    if (store.cellCount > MAX_DIRECTION_CELLS) {
      throw tooBroad(name, rows.groups.length, columns.count, place);
    }
    return store.add(scratch, ruleCount + 1);
  });
  return {
    rowOf: renumbered(rows.rowOf, storedOf),
    colOf: columns.colOf,
    cells: store.finished(),
    cols: columns.count,
  };
}

/** In place. Each of hundreds of directions has a row for every class: kept to a plain loop. */
function renumbered(rowOf: Uint16Array, storedOf: readonly number[]): Uint16Array {
  if (storedOf.length === 1) return rowOf;
  const stored = Uint16Array.from(storedOf);
  for (let id = 0; id < rowOf.length; id++) rowOf[id] = stored[rowOf[id]!]!;
  return rowOf;
}

function tooBroad(name: string, rows: number, columns: number, place: Place) {
  return tooBig(
    `${name} tells ${figure(rows)} groups of addresses and ${figure(columns)} groups of ports ` +
      `apart: ${figure(rows * columns)} verdicts, where ${figure(MAX_DIRECTION_CELLS)} fit`,
    'use fewer different port ranges, or fewer different addresses, in this direction',
    place,
  );
}

/** What no rule of the group claims. */
const UNCLAIMED = 0xffffffff;

/**
 * What a group leaves of its rules: triples {first column, end column, claim},
 * where a claim is the rule's number * 2, plus 1 where a port decides that the
 * packet does not show. The least claim wins.
 */
function claimsOf(
  group: RuleGroup,
  columns: readonly ColumnSet[],
  scratch: Uint32Array,
): Uint32Array {
  let low = scratch.length;
  let high = 0;
  scratch.fill(UNCLAIMED);
  for (const rule of group.rules.toReversed()) {
    const { runs, undecided } = columns[rule]!;
    for (let at = 0; at < runs.length; at += 2) {
      scratch.fill(rule * 2, runs[at], runs[at + 1]);
      low = Math.min(low, runs[at]!);
      high = Math.max(high, runs[at + 1]!);
    }
    for (const column of undecided) {
      scratch[column] = rule * 2 + 1;
      low = Math.min(low, column);
      high = Math.max(high, column + 1);
    }
  }
  const claims: number[] = [];
  for (let column = low, end = low; column < high; column = end) {
    const claim = scratch[column]!;
    while (end < high && scratch[end] === claim) end++;
    if (claim !== UNCLAIMED) claims.push(column, end, claim);
  }
  return Uint32Array.from(claims);
}

function applyClaims(claims: Uint32Array, row: Uint32Array): void {
  for (let at = 0; at < claims.length; at += 3) {
    const end = claims[at + 1]!;
    const claim = claims[at + 2]!;
    for (let column = claims[at]!; column < end; column++) {
      if (claim < row[column]!) row[column] = claim;
    }
  }
}
