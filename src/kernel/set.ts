// A loaded set of programs and the maps they read, opened through their pins.

import { join } from 'node:path';
import type { Hook } from '../compile/state.js';
import type { Capacity } from '../compile/tables.js';
import { COUNTER_MAPS, SHARED_MAPS, TABLE_MAPS } from './maps.js';
import type { MapName } from './maps.js';
import { openPinnedMap, openPinnedProgram } from './native.js';
import type { BpfMap, BpfProgram } from './native.js';
import { listSets } from './pins.js';
import type { SetName } from './pins.js';

/** Programs of a set: one for each hook, and the one that explains (where the kernel has it). */
export type ProgramName = Hook | 'explain';

/** An open set; close() gives the descriptors back, the pins stay. */
export class LoadedSet {
  readonly name: SetName;
  readonly maps: Readonly<Record<MapName, BpfMap>>;
  readonly capacity: Capacity;
  readonly #folder: string;
  readonly #programs = new Map<ProgramName, BpfProgram>();

  constructor(pinRoot: string, name: SetName) {
    this.name = name;
    this.#folder = join(pinRoot, name.folder);
    const shared = SHARED_MAPS.map((map) => [map, openPinnedMap(join(pinRoot, 'shared', map))]);
    const own = [...COUNTER_MAPS, ...TABLE_MAPS].map((map) => [map, openPinnedMap(join(this.#folder, map))]);
    this.maps = Object.fromEntries([...shared, ...own]) as Record<MapName, BpfMap>;
    this.capacity = capacityOf(this.maps);
  }

  program(name: ProgramName): BpfProgram {
    const open = this.#programs.get(name);
    if (open !== undefined) return open;
    const program = openPinnedProgram(join(this.#folder, name));
    this.#programs.set(name, program);
    return program;
  }

  /** The generation in force, 0 = none. */
  get generation(): number {
    return Number(this.maps.control.loadWord(0));
  }

  close(): void {
    for (const map of Object.values(this.maps)) map.close();
    for (const program of this.#programs.values()) program.close();
    this.#programs.clear();
  }
}

/** The current set, or null when nothing is loaded. */
export function openCurrentSet(pinRoot: string): LoadedSet | null {
  const name = listSets(pinRoot).at(-1);
  return name === undefined ? null : new LoadedSet(pinRoot, name);
}

function capacityOf(maps: Readonly<Record<MapName, BpfMap>>): Capacity {
  const slots = (map: (typeof TABLE_MAPS)[number]): number => maps[map].info.maxEntries / 2;
  return {
    roots: slots('roots'),
    ranges4: slots('ranges4'),
    ranges6: slots('ranges6'),
    cells: slots('cells'),
    services: slots('services'),
    rules: slots('rules'),
    policies: slots('policies'),
    text: slots('text'),
    counters: maps.counters.info.maxEntries,
  };
}
