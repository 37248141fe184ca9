// Which maps there are, and how tables lie in them (bpf/maps.h).

import type { Capacity, Tables } from '../compile/tables.js';
import { policy } from '../abi/layout.gen.js';

/** Maps that outlive a set of programs. */
export const SHARED_MAPS = [
  'control',
  'owners',
  'interfaces',
  'flows',
  'streams',
  'peers',
  'events',
  'faults',
] as const;

/** Per-CPU maps indexed by counter id. */
export const COUNTER_MAPS = ['counters', 'limits'] as const;

/** Maps that hold two slots. */
export const TABLE_MAPS = [
  'roots',
  'ranges4',
  'ranges6',
  'cells',
  'services',
  'rules',
  'policies',
  'text',
] as const;

export type TableMap = (typeof TABLE_MAPS)[number];
export type MapName = (typeof SHARED_MAPS)[number] | (typeof COUNTER_MAPS)[number] | TableMap;

/** Bytes of one array element of a table. */
export function elementSize(map: TableMap): number {
  return map === 'policies' ? policy.size : 4096;
}

/** Byte offset at which a slot begins in a table's memory. */
export function slotOffset(map: TableMap, slot: number, capacity: Capacity): number {
  return slot * capacity[map] * elementSize(map);
}

/** The tables proper, in the order in which their lengths are recorded. */
export const TABLES = [
  'roots',
  'ranges4',
  'ranges6',
  'cells',
  'services',
  'rules',
  'policies',
] as const;

export type TableName = (typeof TABLES)[number] & keyof Tables;

/** Bytes of the header at the start of the text table: see slot.ts. */
export { TEXT_HEADER } from '../compile/tables.js';
