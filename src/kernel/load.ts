// Builds a set of programs aside and makes it current by one rename.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { capacity as capacityAt, control as controlAt } from '../abi/layout.gen.js';
import { CgfwError } from '../base/error.js';
import { ABI_VERSION } from '../compile/layout.js';
import type { Program } from '../compile/program.js';
import { HOOKS } from '../compile/state.js';
import type { Hook, ProgramSet } from '../compile/state.js';
import type { Capacity } from '../compile/tables.js';
import { ACCELERATION_MAPS, isAccelerationMap } from './acceleration.js';
import { COUNTER_MAPS, SHARED_MAPS, TABLE_MAPS } from './maps.js';
import { openObject, probeHelper, probeProgramType } from './native.js';
import type { BpfMap, BpfObject } from './native.js';
import { copyOwner } from './owners.js';
import { entriesOf, listSets, parseLinkName, removePin } from './pins.js';
import type { Place } from './place.js';
import { openCurrentSet } from './set.js';
import type { LoadedSet, ProgramName } from './set.js';
import { readSlot, writeSlot } from './slot.js';
import { readTrial } from './trial.js';

const RING_HALF_BYTES = 2 << 20;
/** Events a second for each rule and CPU; `log: all` is not limited. */
const EVENT_RATE = 10_000;

interface ObjectFile {
  readonly file: string;
  readonly programs: readonly ProgramName[];
  /** Where it can be loaded, and is wanted; left out: everywhere. */
  readonly isUsable?: (capacity: Capacity) => boolean;
}

/** bpf_xdp_load_bytes came with frames of several buffers, in Linux 5.18. */
const XDP_LOAD_BYTES = 189;
const hasXdp = once(() => probeProgramType('xdp'));
const hasFrags = once(() => hasXdp() && probeHelper('xdp', XDP_LOAD_BYTES));

/**
 * Object files and the programs taken from them; `explain` needs Linux 5.14. The
 * first one makes the maps; the others then load side by side, the two that take
 * the verifier longest on a CPU each.
 */
const OBJECTS: readonly ObjectFile[] = [
  { file: 'cgroup_sock', programs: ['connect4', 'connect6', 'sock_create'] },
  { file: 'cgroup_skb', programs: ['egress'] },
  { file: 'cgroup_skb', programs: ['ingress'] },
  { file: 'xdp_frags', programs: ['cgfw_xdp'], isUsable: hasFrags },
  { file: 'xdp', programs: ['cgfw_xdp'], isUsable: () => hasXdp() && !hasFrags() },
  { file: 'explain', programs: ['explain'], isUsable: once(() => probeProgramType('syscall')) },
  {
    file: 'accelerate',
    programs: ['setsockopt', 'sock_ops', 'redirect'],
    isUsable: ({ acceleration }) => acceleration > 0,
  },
];

/** The programs that a complete set has on this kernel. */
export function programsHere(capacity: Capacity): ProgramName[] {
  return usableObjects(capacity).flatMap(({ programs }) => programs);
}

function usableObjects(capacity: Capacity): readonly ObjectFile[] {
  return OBJECTS.filter(({ isUsable }) => isUsable?.(capacity) ?? true);
}

/** A kernel does not change while we run. */
function once(probe: () => boolean): () => boolean {
  let found: boolean | undefined;
  return () => (found ??= probe());
}

const objectPath = (place: Place, file: string): string => join(place.objectDir, `${file}.bpf.o`);

let hashed: { readonly signature: string; readonly build: string } | null = null;

/** Names the program files on disk: the same files, the same build. Unchanged ones are read once. */
export function buildOf(place: Place): string {
  const paths = [...new Set(OBJECTS.map(({ file }) => objectPath(place, file)))];
  const signature = paths.map(signatureOf).join();
  if (hashed?.signature === signature) return hashed.build;
  const hash = createHash('sha256');
  for (const path of paths) hash.update(readFileSync(path));
  hashed = { signature, build: hash.digest('hex').slice(0, 16) };
  return hashed.build;
}

/** Changes whenever the file's content may have changed. */
function signatureOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/**
 * Loads `wanted` beside the current set. The new tables begin with what is in
 * force in the old ones, so that links may move over one by one. Until the last
 * step, the rename, nothing but a leftover folder can remain.
 */
export async function loadSet(place: Place, wanted: ProgramSet): Promise<void> {
  const current = openCurrentSet(place.pinRoot);
  const objects: BpfObject[] = [];
  try {
    const last = listSets(place.pinRoot).at(-1)?.number ?? 0;
    const name = `${String(last + 1)}-${wanted.build}`;
    prepareFolders(place, `tmp-${name}`);
    const capacity =
      current === null ? wanted.capacity : atLeast(wanted.capacity, current.capacity);
    const maps = await loadObjects(place, capacity, current, objects);
    if (current === null) beginControl(maps['control']);
    else carryOver(place, current, maps, capacity);
    if (current !== null && current.acceleration === null) copyOwners(place, current, maps);
    pinSet(place, `tmp-${name}`, maps, objects, current, capacity);
    renameSync(join(place.pinRoot, `tmp-${name}`), join(place.pinRoot, `set-${name}`));
  } finally {
    for (const object of objects) object.close();
    current?.close();
  }
}

/** Tables never shrink while something is in force: it must fit on the way over. */
function atLeast(wanted: Capacity, current: Capacity): Capacity {
  const keys = Object.keys(wanted) as (keyof Capacity)[];
  const larger = keys.map((key): [string, number] => [key, Math.max(wanted[key], current[key])]);
  return { ...wanted, ...Object.fromEntries<number>(larger) };
}

function prepareFolders(place: Place, unfinished: string): void {
  removePin(place.pinRoot, unfinished);
  mkdirSync(join(place.pinRoot, 'shared'), { recursive: true, mode: 0o700 });
  mkdirSync(join(place.pinRoot, 'links'), { recursive: true, mode: 0o700 });
  mkdirSync(join(place.pinRoot, unfinished), { mode: 0o700 });
}

type MapsByName = Record<string, BpfMap>;

async function loadObjects(
  place: Place,
  capacity: Capacity,
  current: LoadedSet | null,
  objects: BpfObject[],
): Promise<MapsByName> {
  const maps: MapsByName = { ...reusable(current, capacity) };
  const load = async ({ file, programs }: ObjectFile): Promise<void> => {
    const object = openObject(objectPath(place, file));
    objects.push(object);
    for (const name of object.programs())
      object.setAutoload(
        name,
        programs.some((own) => own === name),
      );
    await loadObject(object, capacity, maps);
    for (const name of object.maps().filter(isAccelerationMap)) maps[name] ??= object.map(name);
  };
  const [first, ...others] = usableObjects(capacity);
  if (first !== undefined) await load(first);
  for (const name of [...SHARED_MAPS, ...COUNTER_MAPS, ...TABLE_MAPS]) {
    const made = objects[0]?.map(name);
    if (made !== undefined) maps[name] ??= made;
  }
  await allOrFirstError(others.map(load));
  return maps;
}

/** Waits for all even when one fails: an object cannot be closed while it is being loaded. */
async function allOrFirstError(loads: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(loads);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Loads one object with these sizes; `maps` are used instead of its own. */
async function loadObject(object: BpfObject, capacity: Capacity, maps: MapsByName): Promise<void> {
  object.setRodata(capacityBytes(capacity));
  for (const table of TABLE_MAPS) object.setMaxEntries(table, 2 * capacity[table]);
  for (const counters of COUNTER_MAPS) object.setMaxEntries(counters, capacity.counters);
  const declared = new Set(object.maps());
  for (const [name, map] of Object.entries(maps)) {
    if (!declared.has(name)) continue;
    // Another version may declare another size of ring; what is loaded keeps its own.
    if (object.mapSpec(name).maxEntries !== map.info.maxEntries)
      object.setMaxEntries(name, map.info.maxEntries);
    object.reuseMap(name, map);
  }
  await object.load();
}

/** Shared maps always carry on; counters do where they are large enough. */
function reusable(current: LoadedSet | null, capacity: Capacity): MapsByName {
  if (current === null) return {};
  const kept = SHARED_MAPS.map((name) => [name, current.maps[name]] as const);
  const counters = COUNTER_MAPS.filter(() => current.capacity.counters >= capacity.counters);
  return Object.fromEntries([
    ...kept,
    ...Object.entries(current.acceleration ?? {}),
    ...counters.map((name) => [name, current.maps[name]] as const),
  ]);
}

function capacityBytes(capacity: Capacity): Uint8Array {
  const view = new DataView(new ArrayBuffer(capacityAt.size));
  for (const table of TABLE_MAPS) view.setUint32(capacityAt[table], capacity[table], true);
  return new Uint8Array(view.buffer);
}

function beginControl(control: BpfMap | undefined): void {
  const view = new DataView(new ArrayBuffer(controlAt.size));
  view.setUint32(controlAt.abi, ABI_VERSION, true);
  view.setUint32(controlAt.event_rate, EVENT_RATE, true);
  view.setBigUint64(controlAt.ring_half, BigInt(RING_HALF_BYTES), true);
  control?.write(0, new Uint8Array(view.buffer));
}

/**
 * Copies the generation in force, the one before it where that may come back,
 * and the counters where their map is a new one.
 */
function carryOver(place: Place, current: LoadedSet, maps: MapsByName, capacity: Capacity): void {
  const { generation } = current;
  const tables = maps as unknown as Parameters<typeof writeSlot>[0];
  const trial = readTrial(place);
  const before = trial?.generation === generation && trial.previous !== 0 ? [trial.previous] : [];
  for (const each of generation === 0 ? [] : [...before, generation]) {
    const program = readIfWhole(current, each);
    if (program !== null) writeSlot(tables, capacity, each, program);
  }
  const { counters } = maps;
  if (counters === undefined || counters === current.maps.counters) return;
  const sums = current.maps.counters.sumPerCpu(0, current.capacity.counters);
  writeCounters(counters, sums);
}

/** A map of members that is a new one knows every cgroup before any program asks it. */
function copyOwners(place: Place, { maps: { owners } }: LoadedSet, { members }: MapsByName): void {
  if (members === undefined) return;
  const links = entriesOf(join(place.pinRoot, 'links')).map(parseLinkName);
  const ids = new Set(links.flatMap((link) => (link === null ? [] : [link.id])));
  for (const id of ids) copyOwner(owners, members, id);
}

/** null: damaged, and then nothing worth carrying over; the plan fills in a new generation. */
function readIfWhole(set: LoadedSet, generation: number): Program | null {
  try {
    return readSlot(set.maps, set.capacity, generation);
  } catch (error) {
    if (error instanceof CgfwError && error.code === 'abi') return null;
    throw error;
  }
}

/** Puts sums on the first CPU of a fresh per-CPU map; words in pairs {packets, bytes}. */
function writeCounters(counters: BpfMap, sums: BigUint64Array): void {
  const cpus = (counters.lookup(new Uint8Array(4))?.length ?? 16) / 16;
  const value = new BigUint64Array(2 * cpus);
  for (let counter = 0; counter * 2 < sums.length; counter++) {
    const packets = sums[2 * counter] ?? 0n;
    if (packets === 0n) continue;
    value[0] = packets;
    value[1] = sums[2 * counter + 1] ?? 0n;
    const key = new Uint8Array(new Uint32Array([counter]).buffer);
    counters.update(key, new Uint8Array(value.buffer));
  }
}

function pinSet(
  place: Place,
  folder: string,
  maps: MapsByName,
  objects: readonly BpfObject[],
  current: LoadedSet | null,
  capacity: Capacity,
): void {
  const set = join(place.pinRoot, folder);
  if (current === null) {
    removePin(place.pinRoot, 'shared');
    mkdirSync(join(place.pinRoot, 'shared'), { mode: 0o700 });
    for (const name of SHARED_MAPS) maps[name]?.pin(join(place.pinRoot, 'shared', name));
  }
  for (const name of [...COUNTER_MAPS, ...TABLE_MAPS]) maps[name]?.pin(join(set, name));
  const usable = usableObjects(capacity);
  objects.forEach((object, index) => {
    for (const name of usable[index]?.programs ?? []) object.program(name).pin(join(set, name));
  });
  if (capacity.acceleration === 0 || (current !== null && current.acceleration !== null)) return;
  for (const name of ACCELERATION_MAPS) {
    // One of a load that was cut short may lie there.
    removePin(place.pinRoot, join('shared', name));
    maps[name]?.pin(join(place.pinRoot, 'shared', name));
  }
}

/** How libbpf and the kernel call the attach point of each hook. */
export const ATTACH_TYPE = {
  sock_create: 'sockCreate',
  connect4: 'connect4',
  connect6: 'connect6',
  egress: 'egress',
  ingress: 'ingress',
  setsockopt: 'setsockopt',
  sock_ops: 'sockOps',
} as const satisfies Record<Hook, string>;

export { HOOKS };
