// Memory: of processes, of BPF maps, of the kernel as a whole.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openPinnedMap } from '../../src/kernel/native.js';
import { COUNTER_MAPS, SHARED_MAPS, TABLE_MAPS } from '../../src/kernel/maps.js';
import { listSets } from '../../src/kernel/pins.js';
import type { Place } from '../../src/kernel/place.js';

const MB = 2 ** 20;

/** Resident set of a process in MB. */
export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? NaN) / 1024;
}

/** CPU time that the threads of a process have used, in ms; exact, where /proc/PID/stat counts ticks of 10. */
export function cpuMs(pid: number): number {
  const folder = `/proc/${String(pid)}/task`;
  const used = readdirSync(folder).map((thread) =>
    Number(readFileSync(join(folder, thread, 'schedstat'), 'utf8').split(' ')[0]),
  );
  return used.reduce((sum, ns) => sum + ns, 0) / 1e6;
}

export interface MapMemory {
  /** The tables of policies, both slots. */
  readonly tablesMb: number;
  /** All maps of ours: tables, counters, rings, flow state. */
  readonly allMb: number;
}

/** What the kernel accounts to the maps of the current set. */
export function mapMemory(place: Place): MapMemory {
  const set = listSets(place.pinRoot).at(-1);
  if (set === undefined) throw new Error('nothing is loaded');
  const sum = (folder: string, names: readonly string[]): number =>
    names.reduce((total, name) => total + mapBytes(join(place.pinRoot, folder, name)), 0) / MB;
  const tablesMb = sum(set.folder, TABLE_MAPS);
  return { tablesMb, allMb: tablesMb + sum(set.folder, COUNTER_MAPS) + sum('shared', SHARED_MAPS) };
}

function mapBytes(pin: string): number {
  const map = openPinnedMap(pin);
  try {
    const lines = readFileSync(`/proc/self/fdinfo/${String(map.fd)}`, 'utf8');
    return Number(/^memlock:\s+(\d+)/m.exec(lines)?.[1] ?? 0);
  } finally {
    map.close();
  }
}

/** Memory that the kernel holds for itself, in MB: its growth is what a ruleset took. */
export function kernelMb(): number {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const kb = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return (kb('SUnreclaim') + kb('VmallocUsed') + kb('Percpu')) / 1024;
}

/** Names in a folder that may not be there. */
export function entriesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
