// A loaded set of programs and the maps they read, opened through their pins.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { control } from '../abi/layout.gen.js';
import { CgfwError } from '../base/error.js';
import { ABI_VERSION } from '../compile/layout.js';
import type { Hook } from '../compile/state.js';
import type { Capacity } from '../compile/tables.js';
import { openAccelerationMaps } from './acceleration.js';
import type { AccelerationMaps } from './acceleration.js';
import { COUNTER_MAPS, SHARED_MAPS, TABLE_MAPS } from './maps.js';
import type { MapName } from './maps.js';
import { isErrno, openPinnedMap, openPinnedProgram } from './native.js';
import type { BpfMap, BpfProgram } from './native.js';
import { listSets } from './pins.js';
import type { SetName } from './pins.js';

/** Programs of a set: one for each hook, and those that not every kernel has. */
export type ProgramName = Hook | OptionalProgram;

/** The one that explains, the one for interfaces, the one that redirects messages. */
export type OptionalProgram = 'explain' | 'cgfw_xdp' | 'redirect';

/** An open set; close() gives the descriptors back, the pins stay. */
export class LoadedSet {
  readonly name: SetName;
  readonly maps: Readonly<Record<MapName, BpfMap>>;
  /** null: this set does not accelerate. */
  readonly acceleration: AccelerationMaps | null;
  readonly capacity: Capacity;
  readonly #folder: string;
  readonly #programs = new Map<ProgramName, BpfProgram>();

  constructor(pinRoot: string, name: SetName) {
    this.name = name;
    this.#folder = join(pinRoot, name.folder);
    this.maps = openMaps(pinRoot, name.folder);
    checkAbi(this.maps);
    this.acceleration = this.has('redirect') ? openAccelerationMaps(pinRoot) : null;
    this.capacity = { ...capacityOf(this.maps), acceleration: this.acceleration === null ? 0 : 1 };
  }

  /** Whether this set has the program: older kernels have no explain. */
  has(name: ProgramName): boolean {
    return existsSync(join(this.#folder, name));
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
    for (const map of Object.values({ ...this.maps, ...this.acceleration })) map.close();
    for (const program of this.#programs.values()) program.close();
    this.#programs.clear();
  }
}

/**
 * The current set; null when nothing is loaded, or when somebody removed pins of
 * its maps: what it says can then not be read any more.
 */
export function openCurrentSet(pinRoot: string): LoadedSet | null {
  for (;;) {
    const name = listSets(pinRoot).at(-1);
    if (name === undefined) return null;
    try {
      return new LoadedSet(pinRoot, name);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
      // Readers take no lock: the set may have been replaced while we opened it.
      if (listSets(pinRoot).at(-1)?.folder === name.folder) return null;
    }
  }
}

/** Tables that another version wrote would be misread; closes the maps and throws `abi`. */
function checkAbi(maps: Readonly<Record<MapName, BpfMap>>): void {
  // The upper half of the word is the next field.
  const abi = Number(maps.control.loadWord(control.abi) & 0xffffffffn);
  if (abi === ABI_VERSION) return;
  for (const map of Object.values(maps)) map.close();
  throw new CgfwError(
    `what is loaded has tables of layout ${String(abi)}, and this version knows layout ${String(ABI_VERSION)}`,
    { code: 'abi', fix: 'use the version that loaded it, or cgfw down, then cgfw apply' },
  );
}

function openMaps(pinRoot: string, folder: string): Readonly<Record<MapName, BpfMap>> {
  const maps: Partial<Record<MapName, BpfMap>> = {};
  try {
    for (const map of SHARED_MAPS) maps[map] = openPinnedMap(join(pinRoot, 'shared', map));
    for (const map of [...COUNTER_MAPS, ...TABLE_MAPS])
      maps[map] = openPinnedMap(join(pinRoot, folder, map));
    return maps as Record<MapName, BpfMap>;
  } catch (error) {
    for (const map of Object.values(maps)) map.close();
    throw error;
  }
}

function capacityOf(maps: Readonly<Record<MapName, BpfMap>>): Omit<Capacity, 'acceleration'> {
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
