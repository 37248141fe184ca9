// Gathers what `cgfw status` shows, from the kernel.

import { policy as policyAt } from '../abi/layout.gen.js';
import { readAcceleration } from '../kernel/acceleration.js';
import { readCounters, readFaults } from '../kernel/counters.js';
import { findConflict } from '../kernel/conflict.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import type { LoadedSet } from '../kernel/set.js';
import type { Policy } from '../policy/policy.js';
import { readRefusal } from '../kernel/interface-table.js';
import { whyRefused } from '../kernel/xdp.js';
import { isInterfaceAction } from '../plan/action.js';
import { statusInterfacePolicies, statusInterfaces } from '../report/interfaces.js';
import { statusPolicies } from '../report/status.js';
import type { Status, StatusMap } from '../report/status.js';
import { ownedCgroups } from '../compile/owners.js';
import type { Tables } from '../compile/tables.js';
import { prospect } from './prospect.js';
import type { Prospect } from './prospect.js';
import type { Guard } from './guard.js';
import { pendingTrial, secondsLeft } from './trial.js';
import { isUnaccelerated, UNACCELERATED } from './unaccelerated.js';

export interface Declared {
  /** The policy file's policy; null when it cannot be used. */
  readonly policy: Policy | null;
  readonly guards: readonly Guard[];
  /** Why it cannot be used. */
  readonly trouble?: string;
}

/** What is in force, compared with what is declared. */
export function inspect(place: Place, declared: Declared): Status {
  const asLoaded = prospect(place, null, { guards: [] });
  const asDeclared =
    declared.policy === null ? asLoaded : prospect(place, declared.policy, declared);
  const set = openCurrentSet(place.pinRoot);
  try {
    return describe(place, set, declared, asLoaded, asDeclared);
  } finally {
    set?.close();
  }
}

const NO_INTERFACES = { interfaces: [], interfacePolicies: [], frames: { notIp: 0 } };
const NO_EVENTS = { emitted: 0, suppressed: 0, lost: 0 };

function describe(
  place: Place,
  set: LoadedSet | null,
  declared: Declared,
  asLoaded: Prospect,
  asDeclared: Prospect,
): Status {
  const { loaded } = asLoaded;
  const names = loaded.program?.names;
  const pending = pendingTrial(place);
  const trial = pending === null ? null : { seconds: secondsLeft(pending) };
  const notes = notesOf(declared, asDeclared);
  if (trial !== null)
    notes.push(
      `this policy is on trial: undone in ${String(trial.seconds)} seconds unless you run cgfw confirm`,
    );
  const base = {
    generation: loaded.generation,
    policyHash: names?.hash ?? null,
    file: names?.origin ?? null,
    enforcing: names !== undefined,
    asDeclared:
      names !== undefined &&
      asDeclared.plan.inStep &&
      asDeclared.held.length === 0 &&
      declared.trouble === undefined,
    notes,
    trial,
  };
  if (set === null || names === undefined || loaded.program === null) {
    return {
      ...base,
      ...NO_INTERFACES,
      policies: [],
      maps: [],
      events: NO_EVENTS,
      faults: {},
      acceleration: null,
    };
  }
  const counts = readCounters(
    set,
    names.rules.map(({ counter }) => counter),
  );
  const conflicts = conflictsOf(place, asLoaded);
  const owned = ownedCgroups(names.policies, asLoaded.cgroups);
  const { emitted, suppressed, lost, notIp, ...faults } = readFaults(set);
  return {
    ...base,
    policies: statusPolicies(names, loaded, asLoaded.desired, { counts, conflicts, owned }),
    interfaces: statusInterfaces(names, loaded, asLoaded.desired, refusalsOf(set, asLoaded)),
    interfacePolicies: statusInterfacePolicies(names, counts),
    frames: { notIp },
    maps: mapsOf(set, loaded.program.tables, names.rules.length),
    events: { emitted, suppressed, lost },
    faults: { ...faults },
    acceleration: set.acceleration === null ? null : readAcceleration(set.acceleration),
  };
}

function notesOf(declared: Declared, { plan, held, loaded }: Prospect): string[] {
  const notes = held.map(({ set }) => `the new version of set ${set} is held back by its guard`);
  if (loaded.program === null && loaded.leftovers.some((pin) => pin.startsWith('links/'))) {
    notes.push(
      'pins of ours are missing or damaged: programs are attached, but what they enforce cannot be read; cgfw apply mends that',
    );
  }
  if (isUnaccelerated(loaded)) notes.push(UNACCELERATED);
  if (declared.trouble !== undefined) notes.push(declared.trouble);
  else if (!plan.inStep) notes.push('the kernel differs from the policy file: see cgfw diff');
  return notes;
}

/** Why interfaces got generic mode where native would have done. */
function refusalsOf(set: LoadedSet, { devices }: Prospect): Map<number, string> {
  const refused = devices.map(
    (device) => [device, readRefusal(set.maps.interfaces, device.ifindex)] as const,
  );
  return new Map(
    refused
      .filter(([, errno]) => errno !== 0)
      .map(([device, errno]) => [device.ifindex, whyRefused(errno, device).why]),
  );
}

/** For each cgroup that ought to be attached and is not: the program in the way. */
function conflictsOf(place: Place, { plan }: Prospect): Map<string, string> {
  const conflicts = new Map<string, string>();
  for (const action of plan.actions) {
    if (action.op !== 'attach' || isInterfaceAction(action)) continue;
    const conflict = findConflict(place, action.target);
    if (conflict === null) continue;
    const where = conflict.cgroup === '' ? 'the root cgroup' : conflict.cgroup;
    conflicts.set(
      action.target,
      `program ${String(conflict.programId)} (${conflict.programName}) on ${where} is exclusive at ${conflict.hook}`,
    );
  }
  return conflicts;
}

/** Bytes of the roots of both families, which every policy has. */
const ROOTS_BYTES = 131_072 * 8;

function mapsOf(set: LoadedSet, tables: Tables, rules: number): StatusMap[] {
  const bytes = (['roots', 'ranges4', 'ranges6', 'cells', 'rules'] as const).map(
    (name): StatusMap => {
      const fixed = name === 'roots' ? ROOTS_BYTES : 0;
      const used = tables[name].byteLength - fixed;
      return { name, used, capacity: set.capacity[name] * 4096 - fixed, unit: 'bytes' };
    },
  );
  const policies = tables.policies.byteLength / policyAt.size;
  const peers = [...set.maps.peers.keys()].length;
  return [
    ...bytes,
    { name: 'policies', used: policies, capacity: set.capacity.policies, unit: 'policies' },
    { name: 'counters', used: rules, capacity: set.capacity.counters, unit: 'rules' },
    { name: 'peers', used: peers, capacity: set.maps.peers.info.maxEntries, unit: 'exchanges' },
  ];
}
