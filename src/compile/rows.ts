// Address classes as one direction sees them.

import type { Direction, Rule } from '../policy/policy.js';

/** For each list the classes that belong to it: list l has members[offsets[l] .. offsets[l + 1]). */
export interface ListClasses {
  readonly offsets: Uint32Array;
  readonly members: Uint16Array;
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
  return { offsets, members, classCount: classes.length };
}

/** How a direction divides the address classes. */
export interface Rows {
  /** By class: its row. Row 0 is for classes that no rule names. */
  readonly rowOf: Uint16Array;
  readonly count: number;
  /** By rule: the rows it matches, or any. */
  readonly ofRule: readonly (Uint32Array | 'any')[];
}

/**
 * Gives classes that the same rules name the same row. Costs what the lists of
 * this direction hold, plus one filled array of a cell for each class.
 */
export function divideClasses(direction: Direction, lists: ListClasses): Rows {
  const sets = new Map<string, Uint16Array>();
  const keys = direction.rules.map((rule) => addressKey(rule));
  direction.rules.forEach((rule, at) => {
    const key = keys[at]!;
    if (key !== null && !sets.has(key)) sets.set(key, classesOf(rule, lists));
  });
  const { rowOf, count } = refine([...sets.values()], lists.classCount);
  const rows = new Map<string, Uint32Array>();
  for (const [key, members] of sets) rows.set(key, rowsOf(members, rowOf, count));
  return { rowOf, count, ofRule: keys.map((key) => (key === null ? 'any' : rows.get(key)!)) };
}

function addressKey(rule: Rule): string | null {
  return rule.lists === 'any' ? null : rule.lists.join();
}

/** Classes in any of the rule's lists, each once. */
function classesOf(rule: Rule, { offsets, members }: ListClasses): Uint16Array {
  if (rule.lists === 'any') throw new Error('any has no lists');
  const parts = rule.lists.map((list) => members.subarray(offsets[list]!, offsets[list + 1]!));
  if (parts.length === 1) return parts[0]!;
  const all = new Set<number>();
  for (const part of parts) for (const id of part) all.add(id);
  return Uint16Array.from(all);
}

/**
 * Partition refinement: all classes begin in block 0; each set splits every
 * block that it holds in part. Exact, and linear in the size of the sets.
 */
function refine(sets: readonly Uint16Array[], classCount: number) {
  const blockOf = new Uint32Array(classCount);
  let splitBy = new Int32Array(1024).fill(-1);
  let splitTo = new Uint32Array(1024);
  let blocks = 1;
  sets.forEach((members, set) => {
    const before = blocks;
    if (before + members.length > splitBy.length) {
      splitBy = new Int32Array((before + members.length) * 2).fill(-1);
      splitTo = new Uint32Array(splitBy.length);
    }
    for (const id of members) {
      const block = blockOf[id]!;
      if (splitBy[block] !== set) {
        splitBy[block] = set;
        splitTo[block] = blocks++;
      }
      blockOf[id] = splitTo[block]!;
    }
  });
  return numberRows(blockOf, sets, blocks);
}

/** Rows by first appearance; the blocks that lost all their classes have none. */
function numberRows(blockOf: Uint32Array, sets: readonly Uint16Array[], blocks: number) {
  const rowOfBlock = new Int32Array(blocks).fill(-1);
  rowOfBlock[0] = 0;
  const rowOf = new Uint16Array(blockOf.length);
  let count = 1;
  for (const members of sets) {
    for (const id of members) {
      const block = blockOf[id]!;
      if (rowOfBlock[block]! < 0) rowOfBlock[block] = count++;
      rowOf[id] = rowOfBlock[block]!;
    }
  }
  return { rowOf, count };
}

function rowsOf(members: Uint16Array, rowOf: Uint16Array, count: number): Uint32Array {
  const isIn = new Uint8Array(count);
  const rows = new Uint32Array(Math.min(count, members.length));
  let length = 0;
  for (const id of members) {
    const row = rowOf[id]!;
    if (isIn[row] === 0) {
      isIn[row] = 1;
      rows[length++] = row;
    }
  }
  return rows.slice(0, length);
}
