// Address classes as one direction sees them.

import type { Direction } from '../policy/policy.js';
import { hashOf } from './heap.js';

/** The address classes of each list. */
export interface ListClasses {
  readonly ofList: readonly Uint16Array[];
  /** By list: the first list with the same classes. */
  readonly same: readonly number[];
  readonly classCount: number;
}

/** Turns the lists of each class into the classes of each list. */
export function listClasses(
  classes: readonly (readonly number[])[],
  listCount: number,
): ListClasses {
  const offsets = new Uint32Array(listCount + 1);
  for (const lists of classes) for (const list of lists) offsets[list + 1]!++;
  for (let list = 0; list < listCount; list++) offsets[list + 1]! += offsets[list]!;
  const next = offsets.slice();
  const members = new Uint16Array(offsets[listCount]!);
  classes.forEach((lists, id) => {
    for (const list of lists) members[next[list]!++] = id;
  });
  const ofList = Array.from({ length: listCount }, (_, list) =>
    members.subarray(offsets[list], offsets[list + 1]),
  );
  return { ofList, same: firstEqual(ofList), classCount: classes.length };
}

/** For each array the index of the first with equal content. */
function firstEqual(arrays: readonly Uint16Array[]): number[] {
  const byHash = new Map<number, number[]>();
  return arrays.map((array, index) => {
    const hash = hashOf(array);
    const known = byHash.get(hash) ?? [];
    const equal = known.find((other) => isEqual(arrays[other]!, array));
    if (equal !== undefined) return equal;
    byHash.set(hash, [...known, index]);
    return index;
  });
}

function isEqual(a: Uint16Array, b: Uint16Array): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

/** The rules of a direction that name the same addresses, in order. */
export interface RuleGroup {
  readonly rules: number[];
  /** Its address classes, in any order; null = every address. */
  readonly classes: Uint16Array | null;
}

/** How a direction divides the address classes. */
export interface Rows {
  /** By class: its row. Row 0 is for classes that no rule names. */
  readonly rowOf: Uint16Array;
  /** By row: the groups that match there. */
  readonly groups: readonly (readonly RuleGroup[])[];
}

/** Puts rules that name the same addresses together. */
export function groupRules(direction: Direction, lists: ListClasses): RuleGroup[] {
  const groups = new Map<string, RuleGroup>();
  direction.rules.forEach((rule, index) => {
    const own = rule.lists === 'any' ? null : distinct(rule.lists.map((list) => lists.same[list]!));
    const key = own === null ? 'any' : own.join();
    const group = groups.get(key);
    if (group !== undefined) group.rules.push(index);
    else groups.set(key, { rules: [index], classes: own && union(own, lists) });
  });
  return [...groups.values()];
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function union(lists: readonly number[], { ofList }: ListClasses): Uint16Array {
  if (lists.length === 1) return ofList[lists[0]!]!;
  const all = new Set<number>();
  for (const list of lists) for (const id of ofList[list]!) all.add(id);
  return Uint16Array.from(all);
}

/**
 * Gives classes that the same groups name the same row. Costs what the groups
 * hold, plus one filled array with a cell for each class.
 */
export function divideClasses(groups: readonly RuleGroup[], classCount: number): Rows {
  const { blockOf, blocks } = refine(groups, classCount);
  const rowOfBlock = new Int32Array(blocks).fill(-1);
  rowOfBlock[0] = 0;
  const rowOf = new Uint16Array(classCount);
  const everywhere = groups.filter(({ classes }) => classes === null);
  const rows: RuleGroup[][] = [[...everywhere]];
  for (const group of groups) {
    for (const id of group.classes ?? []) {
      const block = blockOf[id]!;
      if (rowOfBlock[block]! < 0) rowOfBlock[block] = rows.push([...everywhere]) - 1;
      const row = rowOfBlock[block]!;
      rowOf[id] = row;
      if (rows[row]!.at(-1) !== group) rows[row]!.push(group);
    }
  }
  return { rowOf, groups: rows };
}

/**
 * Partition refinement: all classes begin in block 0; each group splits every
 * block that it holds in part. Exact, and linear in what the groups hold. A
 * block that lost all its classes stays, empty.
 */
function refine(groups: readonly RuleGroup[], classCount: number) {
  const blockOf = new Uint32Array(classCount);
  const splitBy: (RuleGroup | undefined)[] = [];
  const splitTo: number[] = [];
  let blocks = 1;
  for (const group of groups) {
    for (const id of group.classes ?? []) {
      const block = blockOf[id]!;
      if (splitBy[block] !== group) {
        splitBy[block] = group;
        splitTo[block] = blocks++;
      }
      blockOf[id] = splitTo[block]!;
    }
  }
  return { blockOf, blocks };
}
