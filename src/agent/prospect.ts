// What a policy would mean here and now, and what it would change. Changes nothing.

import { compile } from '../compile/compile.js';
import { desire } from '../compile/desire.js';
import type { CounterIds, Program } from '../compile/program.js';
import type { Cgroup, State } from '../compile/state.js';
import { listCgroups } from '../kernel/cgroups.js';
import { checkNamespace, readInterfaceLinks, surroundingInterfaces } from '../kernel/interfaces.js';
import { listInterfaces } from '../kernel/native.js';
import type { NetInterface } from '../kernel/native.js';
import { canAccelerate } from '../kernel/acceleration.js';
import { buildOf } from '../kernel/load.js';
import type { Place } from '../kernel/place.js';
import { readState } from '../kernel/read.js';
import type { Plan } from '../plan/action.js';
import { diff, isSameProgram } from '../plan/diff.js';
import type { Policy } from '../policy/policy.js';
import { holdBack } from './guard.js';
import type { Guard, Held } from './guard.js';

/** A policy, one that is compiled already, or null: whatever is loaded. */
export type Wanted = Policy | Program | null;

export interface Prospect {
  /** What is wanted in force; null: nothing is, and nothing is loaded. */
  readonly program: Program | null;
  readonly cgroups: readonly Cgroup[];
  readonly devices: readonly NetInterface[];
  readonly desired: State;
  readonly loaded: State;
  readonly plan: Plan;
  /** Set files whose new version is held back by their guard. */
  readonly held: readonly Held[];
}

export interface ProspectOptions {
  /** Guards of set files; [] takes every new version (apply --force). */
  readonly guards: readonly Guard[];
}

/** Compares what is wanted with the kernel, for the cgroups and interfaces that exist now. */
export function prospect(place: Place, wanted: Wanted, options: ProspectOptions): Prospect {
  const cgroups = listCgroups(place.cgroupRoot);
  const devices = listInterfaces();
  const links = readInterfaceLinks(place, devices);
  checkNamespace(place, links);
  const loaded = readState(place, cgroups, 'whole', devices, recent);
  const { program, held } = wantedProgram(wanted, loaded.program, options);
  if (program === null) {
    const desired = { ...loaded, leftovers: [] };
    return { program, cgroups, devices, desired, loaded, plan: diff(desired, loaded), held };
  }
  const interfaces = surroundingInterfaces(devices, links);
  const desired = desire(
    program,
    { cgroups, interfaces, build: buildOf(place), canAccelerate },
    loaded,
  );
  return { program, cgroups, devices, desired, loaded, plan: diff(desired, loaded), held };
}

function wantedProgram(
  wanted: Wanted,
  loaded: Program | null,
  options: ProspectOptions,
): { readonly program: Program | null; readonly held: readonly Held[] } {
  if (wanted === null) return { program: loaded, held: [] };
  if ('tables' in wanted) return { program: wanted, held: [] };
  const { policy, held } = holdBack(wanted, loaded, options.guards);
  if (held.length > 0 && loaded !== null) {
    // The hash is that of the files; what is held back is not a reason for a switch.
    const asLoaded = compileOnce({ ...policy, hash: loaded.names.hash }, loaded);
    if (isSameProgram(asLoaded, loaded)) return { program: loaded, held };
  }
  return { program: compileOnce(policy, loaded), held };
}

/**
 * The program that was compiled here last. Where it is what is in force, nothing has to
 * be copied, and what is known of it, such as the ranges of its lists, is known.
 */
let recent: Program | null = null;

/** A compiled policy serves again while the same rules have the same counters. */
const compiled = new WeakMap<Policy, Program>();

function compileOnce(policy: Policy, loaded: Program | null): Program {
  const counters: CounterIds = new Map(loaded?.names.rules.map((rule) => [rule.key, rule.counter]));
  const known = compiled.get(policy);
  const isCurrent = known?.names.rules.every((rule) => counters.get(rule.key) === rule.counter);
  if (known !== undefined && isCurrent === true) return known;
  const program = compile(policy, counters);
  compiled.set(policy, program);
  recent = program;
  return program;
}
