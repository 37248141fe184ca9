// The kernel is the only database: what is in force, read back through the pins.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import type { Program } from '../compile/program.js';
import type { Capacity } from '../compile/tables.js';
import { compareAttachments, HOOKS, isLingering, NOTHING } from '../compile/state.js';
import type { Attachment, Cgroup, Hook, State } from '../compile/state.js';
import { interfaceAttachments, readInterfaceLinks } from './interfaces.js';
import { programsHere } from './load.js';
import { isErrno, listInterfaces, listLinks } from './native.js';
import type { NetInterface } from './native.js';
import { readOwner } from './owners.js';
import {
  entriesOf,
  listSets,
  listUnfinished,
  parseInterfaceLinkName,
  parseLinkName,
} from './pins.js';
import type { Place } from './place.js';
import { openCurrentSet } from './set.js';
import type { LoadedSet } from './set.js';
import { readSlot } from './slot.js';

/**
 * Reads what is loaded. `cgroups` gives the attachments their paths, `devices` their names. Where pins
 * were removed behind our back, what hangs on them counts as not there, and the
 * plan makes it anew. `known` may be the program in force: it is then compared in place, not copied.
 */
export function readState(
  place: Place,
  cgroups: readonly Cgroup[],
  depth: 'whole' | 'names-only' = 'whole',
  devices: readonly NetInterface[] = listInterfaces(),
  known: Program | null = null,
): State {
  const set = openCurrentSet(place.pinRoot);
  const sets = listSets(place.pinRoot).map(({ folder }) => folder);
  const unfinished = listUnfinished(place.pinRoot);
  if (set === null) {
    // A link cannot move to programs with another storage: all are made anew.
    const links = entriesOf(join(place.pinRoot, 'links')).map((link) => `links/${link}`);
    return { ...NOTHING, leftovers: [...unfinished, ...sets, ...links].sort() };
  }
  try {
    const { generation, name } = set;
    const links = readLinks(place, set, cgroups, generation);
    const program = readProgram(set, generation, depth, known);
    const wires = readInterfaceLinks(place, devices);
    const dead = [
      ...links.dead,
      ...wires.filter(({ mode }) => mode === null).map(({ pin }) => pin),
    ];
    const build = isComplete(place, name.folder, set.capacity) ? name.build : INCOMPLETE;
    return {
      programs: { folder: name.folder, build, capacity: set.capacity },
      generation,
      program,
      attachments: links.attachments,
      interfaces: interfaceAttachments(set, program, wires, devices),
      leftovers: [
        ...unfinished,
        ...sets.filter((folder) => folder !== name.folder),
        ...dead,
      ].sort(),
    };
  } finally {
    set.close();
  }
}

/** The build of a set that lacks programs: no other is like it, so that all are loaded anew. */
const INCOMPLETE = 'incomplete';

function isComplete(place: Place, folder: string, capacity: Capacity): boolean {
  const has = (program: string): boolean => existsSync(join(place.pinRoot, folder, program));
  return programsHere(capacity).every(has);
}

/**
 * The program in force; null also when its tables are damaged: the plan then
 * fills in a new generation.
 */
function readProgram(
  set: LoadedSet,
  generation: number,
  depth: 'whole' | 'names-only',
  known: Program | null,
): Program | null {
  if (generation === 0) return null;
  try {
    return readSlot(set.maps, set.capacity, generation, depth, known);
  } catch (error) {
    if (error instanceof CgfwError && error.code === 'abi') return null;
    throw error;
  }
}

interface Links {
  readonly attachments: Attachment[];
  /** Pins whose link no longer belongs to any cgroup. */
  readonly dead: string[];
}

function readLinks(
  place: Place,
  set: LoadedSet,
  cgroups: readonly Cgroup[],
  generation: number,
): Links {
  const dead: string[] = [];
  const byId = new Map<number, { hooks: Hook[]; outdated: Hook[]; pins: string[] }>();
  const current = new Map(HOOKS.map((hook) => [hook, programId(set, hook)]));
  const folder = join(place.pinRoot, 'links');
  for (const link of existsSync(folder) ? listLinks(folder) : []) {
    if (parseInterfaceLinkName(link.name) !== null) continue;
    const parsed = parseLinkName(link.name);
    if (parsed === null || link.error !== undefined || Number(link.cgroupId) !== parsed.id) {
      dead.push(`links/${link.name}`);
      continue;
    }
    const entry = byId.get(parsed.id) ?? { hooks: [], outdated: [], pins: [] };
    entry.hooks.push(parsed.hook);
    entry.pins.push(`links/${link.name}`);
    if (link.progId !== current.get(parsed.hook)) entry.outdated.push(parsed.hook);
    byId.set(parsed.id, entry);
  }
  const paths = new Map(cgroups.map((cgroup) => [cgroup.id, cgroup.path]));
  const inOrder = (hooks: readonly Hook[]): Hook[] => HOOKS.filter((hook) => hooks.includes(hook));
  const attachments = [...byId].flatMap(([id, { hooks, outdated, pins }]) => {
    const path = paths.get(id) ?? `#${String(id)}`;
    const policy = generation === 0 ? 0 : ownerOf(set, { id, path }, generation & 1);
    // The kernel has let go of it since its links were read.
    if (policy === null) {
      dead.push(...pins);
      return [];
    }
    return [{ id, path, policy, hooks: inOrder(hooks), outdated: inOrder(outdated) }];
  });
  return { attachments: attachments.sort(compareAttachments), dead };
}

/** No policy's index: the two places that say it differ. */
const UNCLEAR = -1;

/**
 * What the packet hooks and the programs of acceleration take for the cgroup's policy.
 * One that is gone from the tree is known by its policy alone: unclear, it would be let go.
 * null: gone altogether, because there is an entry for as long as there are links.
 */
function ownerOf(set: LoadedSet, { id, path }: Cgroup, slot: number): number | null {
  const entry = readOwner(set.maps.owners, id, slot);
  if (entry === null && isLingering({ path })) return null;
  const owner = entry ?? 0;
  if (set.acceleration === null || isLingering({ path })) return owner;
  const member = readOwner(set.acceleration.members, id, slot) ?? 0;
  return member === owner ? owner : UNCLEAR;
}

/** null: its pin is gone. */
function programId(set: LoadedSet, hook: Hook): number | null {
  try {
    return set.program(hook).info.id;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}
