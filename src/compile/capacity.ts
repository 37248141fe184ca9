// How large the kernel's tables have to be.

import { BLOCK_SIZE, NODES } from './layout.js';
import type { Program } from './program.js';
import type { Capacity } from './tables.js';

const ROOT_BYTES = 8;
/** Blocks for the roots of both families, without nodes. */
const ROOT_BLOCKS = (NODES * ROOT_BYTES) / BLOCK_SIZE;

/** Small enough to cost little, large enough that an ordinary edit needs no other size. */
const SMALLEST: Capacity = {
  roots: ROOT_BLOCKS + 32,
  ranges4: 16,
  ranges6: 16,
  cells: 64,
  services: 97,
  rules: 8,
  policies: 64,
  text: 16,
  counters: 4096,
  acceleration: 0,
};

/**
 * What one slot of each table must hold for this program, in blocks of 4,096
 * bytes (policies and counters: elements). `textBytes` is the length of the
 * encoded blob. Counters cover the highest index that the program uses.
 */
export function neededCapacity(program: Program, textBytes: number): Capacity {
  const { tables, names } = program;
  return {
    roots: blocks(tables.roots.byteLength),
    ranges4: blocks(tables.ranges4.byteLength),
    ranges6: blocks(tables.ranges6.byteLength),
    cells: blocks(tables.cells.byteLength),
    services: blocks(tables.services.byteLength),
    rules: blocks(tables.rules.byteLength),
    policies: names.policies.length + names.interfaces.length + 1,
    text: blocks(textBytes),
    counters: names.rules.reduce((most, { counter }) => Math.max(most, counter + 1), 0),
    acceleration: names.policies.some(({ accelerate }) => accelerate) ? 1 : 0,
  };
}

/**
 * The capacity to load with. What is loaded is kept, the very object, when
 * everything fits; otherwise each table that is too small gets the next power
 * of two, and none shrinks. To shrink, leave `loaded` out (null).
 */
export function chooseCapacity(needed: Capacity, loaded: Capacity | null): Capacity {
  if (loaded !== null && fits(needed, loaded)) return loaded;
  const least = loaded ?? SMALLEST;
  const choose = (table: keyof Capacity): number =>
    needed[table] <= least[table] ? least[table] : tier(table, needed[table]);
  return {
    roots: choose('roots'),
    ranges4: choose('ranges4'),
    ranges6: choose('ranges6'),
    cells: choose('cells'),
    services: choose('services'),
    rules: choose('rules'),
    policies: choose('policies'),
    text: choose('text'),
    counters: choose('counters'),
    acceleration: choose('acceleration'),
  };
}

function fits(needed: Capacity, loaded: Capacity): boolean {
  return (Object.keys(needed) as (keyof Capacity)[]).every(
    (table) => needed[table] <= loaded[table],
  );
}

/** The roots of both families are always there: only the nodes above them grow by doubling. */
function tier(table: keyof Capacity, needed: number): number {
  if (table === 'roots') return ROOT_BLOCKS + powerOfTwo(needed - ROOT_BLOCKS);
  return powerOfTwo(needed);
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, atLeast)));
}

function blocks(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / BLOCK_SIZE));
}
