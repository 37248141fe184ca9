// Carries out one plan, action by action. Every action can be repeated: an
// apply that was cut short is finished by the next one.

import { existsSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { control as controlAt, counter as counterAt, limit as limitAt } from '../abi/layout.gen.js';
import type { Program } from '../compile/program.js';
import { BASE_HOOKS } from '../compile/state.js';
import type { Hook } from '../compile/state.js';
import { isInterfaceAction } from '../plan/action.js';
import type { Action, InterfaceAction } from '../plan/action.js';
import { cgroupId } from './cgroups.js';
import { ATTACH_TYPE, loadSet } from './load.js';
import { eraseInterface } from './interface-table.js';
import { readInterfaceLinks } from './interfaces.js';
import {
  attachCgroup,
  attachMessages,
  isErrno,
  listInterfaces,
  membarrier,
  openPinnedLink,
} from './native.js';
import { clearOwner, eraseOwner, writeOwner } from './owners.js';
import {
  linkName,
  parseInterfaceLinkName,
  parseLinkName,
  removePin,
  replacedLinkName,
} from './pins.js';
import type { Place } from './place.js';
import { openCurrentSet } from './set.js';
import type { LoadedSet } from './set.js';
import { writeSlot } from './slot.js';
import { runInterfaceAction, takeOff } from './xdp.js';

/** What could not be done for one cgroup or interface; the rest of the plan went on. */
export interface Failure {
  readonly action: Action;
  readonly error: CgfwError;
}

export interface ApplyInput {
  readonly actions: readonly Action[];
  /** The compiled policy that `fill` writes. */
  readonly program: Program | null;
  /** Keys of the rules in force before: their counters go on. */
  readonly loaded: Program | null;
  /** Called before each action, for the log and for tests that stop midway. */
  readonly onAction?: (action: Action) => void;
}

/**
 * Runs the actions in order. A cgroup that refuses its attachment does not hold
 * up the others: it is returned as a failure. Anything else that fails throws,
 * and what was in force before the switch stays in force.
 */
export async function applyActions(place: Place, input: ApplyInput): Promise<Failure[]> {
  const failures: Failure[] = [];
  let set = openCurrentSet(place.pinRoot);
  try {
    takeMessages(set);
    for (const action of input.actions) {
      input.onAction?.(action);
      if (action.op === 'load') {
        set?.close();
        set = null;
        await loadSet(place, action.set);
        set = openCurrentSet(place.pinRoot);
        takeMessages(set);
        continue;
      }
      try {
        await runAction(place, set, action, input);
      } catch (error) {
        if (!isPerCgroup(action) || !(error instanceof CgfwError)) throw error;
        failures.push({ action, error });
      }
    }
    if (set !== null) await vacate(set);
  } finally {
    set?.close();
  }
  return failures;
}

/**
 * Sockets that come into the table get the program of this set; those in it keep theirs.
 * Done for each plan: one that was cut short after its load has left the old one there.
 */
function takeMessages(set: LoadedSet | null): void {
  if (set !== null && set.acceleration !== null)
    attachMessages(set.program('redirect'), set.acceleration.sockets);
}

/**
 * A link that still runs old programs, or an owner that is not assigned aside,
 * would meet a mixture after the switch: those failures end the plan before it.
 */
function isPerCgroup(action: Action): boolean {
  return action.op === 'attach' || (action.op === 'assign' && action.slot === 'active');
}

async function runAction(
  place: Place,
  set: LoadedSet | null,
  action: Exclude<Action, { op: 'load' }>,
  input: ApplyInput,
): Promise<void> {
  if (isInterfaceAction(action)) {
    runInterfaceAction(place, loadedSet(set), action);
    if (action.op === 'assign' && action.slot === 'active') countAssignment(loadedSet(set));
    return;
  }
  switch (action.op) {
    case 'detach':
      for (const hook of action.hooks) detach(place, action.id, hook);
      if (isBare(place, action.id)) eraseMember(set, action.id);
      return;
    case 'sweep':
      sweep(place, set, action.target);
      return;
    case 'update':
      for (const hook of action.hooks) update(place, loadedSet(set), action.id, hook);
      return;
    case 'attach':
      attach(place, loadedSet(set), action);
      return;
    case 'assign':
      assign(loadedSet(set), action);
      return;
    case 'fill':
      await fill(loadedSet(set), input);
      return;
    case 'switch':
      loadedSet(set).maps.control.storeWord(0, BigInt(action.to));
      return;
  }
}

/** An action about a cgroup. */
type Of<Op extends Action['op']> = Exclude<Extract<Action, { op: Op }>, InterfaceAction>;

function loadedSet(set: LoadedSet | null): LoadedSet {
  if (set !== null) return set;
  throw new CgfwError('no programs are loaded', { code: 'not-loaded', fix: 'run cgfw apply' });
}

/**
 * Waits until no program reads the idle slot any more: at the end of the plan that
 * switched, where nobody waits for it, and not before the next one can fill. The
 * word is kept in the kernel, for a writer that comes after a crash.
 */
async function vacate({ generation, maps: { control } }: LoadedSet): Promise<void> {
  if (control.loadWord(controlAt.vacated) === BigInt(generation)) return;
  await membarrier();
  control.storeWord(controlAt.vacated, BigInt(generation));
}

async function fill(set: LoadedSet, input: ApplyInput): Promise<void> {
  if (input.program === null) return;
  await vacate(set);
  writeSlot(set.maps, set.capacity, set.generation + 1, input.program);
  resetCounters(set, input.program, input.loaded);
}

/** Rules that are new begin at zero, also where an older rule had their counter. */
function resetCounters(set: LoadedSet, program: Program, loaded: Program | null): void {
  const known = new Set(loaded?.names.rules.map((rule) => rule.key));
  const fresh = program.names.rules.filter((rule) => !known.has(rule.key));
  if (fresh.length === 0) return;
  const zero = new Uint8Array(4);
  const cpus = (set.maps.counters.lookup(zero)?.length ?? counterAt.size) / counterAt.size;
  const keys = new Uint8Array(Uint32Array.from(fresh, (rule) => rule.counter).buffer);
  const zeros = (size: number): Uint8Array => new Uint8Array(fresh.length * cpus * size);
  set.maps.counters.updateBatch(keys, zeros(counterAt.size), fresh.length);
  set.maps.limits.updateBatch(keys, zeros(limitAt.size), fresh.length);
}

function attach(place: Place, set: LoadedSet, action: Of<'attach'>): void {
  const path = join(place.cgroupRoot, action.target);
  if (cgroupId(path) !== action.id) {
    throw new CgfwError(`cgroup ${action.target} is gone or was made anew`, {
      code: 'no-cgroup',
      fix: 'nothing: the next reconcile looks again',
    });
  }
  const pinOf = (hook: Hook): string => join(place.pinRoot, 'links', linkName(action.id, hook));
  const isNew = BASE_HOOKS.every((hook) => action.hooks.includes(hook) && !existsSync(pinOf(hook)));
  if (isNew) clearOwner(set.maps.owners, action.id);
  if (isNew) eraseMember(set, action.id);
  for (const hook of action.hooks) {
    const pin = pinOf(hook);
    // What the old link still enforces holds until the plan sweeps it, after the switch.
    if (existsSync(pin))
      renameSync(pin, join(place.pinRoot, 'links', replacedLinkName(action.id, hook)));
    const link = attachCgroup(set.program(hook), path, ATTACH_TYPE[hook]);
    try {
      link.pin(pin);
    } finally {
      link.close();
    }
  }
}

function assign(set: LoadedSet, action: Of<'assign'>): void {
  const slot = (set.generation + (action.slot === 'idle' ? 1 : 0)) & 1;
  try {
    writeOwner(set.maps.owners, action.id, slot, action.index);
    if (set.acceleration !== null)
      writeOwner(set.acceleration.members, action.id, slot, action.index);
  } catch (error) {
    // A cgroup whose attachment failed, or that is gone, has no storage to write.
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  if (action.slot === 'active') countAssignment(set);
}

/** Accelerated connections were judged without it: they are judged again. */
function countAssignment({ maps: { control } }: LoadedSet): void {
  control.storeWord(controlAt.assigned, control.loadWord(controlAt.assigned) + 1n);
}

function update(place: Place, set: LoadedSet, id: number, hook: Hook): void {
  const link = openPinnedLink(join(place.pinRoot, 'links', linkName(id, hook)));
  try {
    link.update(set.program(hook));
  } catch (error) {
    // The cgroup went away meanwhile; its pin is swept by the next reconcile.
    if (!isErrno(error, 'ENOLINK')) throw error;
  } finally {
    link.close();
  }
}

/** What a former policy wrote there must judge no connection, in neither slot. */
function eraseMember(set: LoadedSet | null, id: number): void {
  if (set !== null && set.acceleration !== null) eraseOwner(set.acceleration.members, id);
}

function detach(place: Place, id: number, hook: Hook): void {
  const pin = join(place.pinRoot, 'links', linkName(id, hook));
  if (existsSync(pin)) unlinkSync(pin);
}

/** A link that the same plan has made stays; the one that it replaced goes. */
function sweep(place: Place, set: LoadedSet | null, target: string): void {
  const name = target.startsWith('links/') ? target.slice('links/'.length) : '';
  const ifindex = parseInterfaceLinkName(name);
  if (ifindex !== null) return sweepInterface(place, set, target, ifindex);
  const parsed = parseLinkName(name);
  if (parsed !== null)
    removePin(place.pinRoot, `links/${replacedLinkName(parsed.id, parsed.hook)}`);
  if (parsed !== null && isAlive(join(place.pinRoot, target))) return;
  removePin(place.pinRoot, target);
  if (parsed !== null && isBare(place, parsed.id)) eraseMember(set, parsed.id);
}

/** Nothing judges the packets of the cgroup, whichever links it had. */
function isBare(place: Place, id: number): boolean {
  return !BASE_HOOKS.some((hook) => existsSync(join(place.pinRoot, 'links', linkName(id, hook))));
}

function sweepInterface(place: Place, set: LoadedSet | null, pin: string, ifindex: number): void {
  const link = readInterfaceLinks(place, listInterfaces()).find(
    (candidate) => candidate.pin === pin,
  );
  if (
    link !== undefined &&
    link.mode !== null &&
    link.programId === set?.program('cgfw_xdp').info.id
  )
    return;
  takeOff(join(place.pinRoot, pin));
  if (set !== null) eraseInterface(set.maps.interfaces, ifindex);
}

function isAlive(pin: string): boolean {
  try {
    const link = openPinnedLink(pin);
    try {
      return link.info.cgroupId !== 0n;
    } finally {
      link.close();
    }
  } catch (error) {
    if (error instanceof CgfwError) return false;
    throw error;
  }
}
