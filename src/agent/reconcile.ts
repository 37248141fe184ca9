// Desired against loaded, once: read, plan, apply, read again.

import { compile } from '../compile/compile.js';
import { desire } from '../compile/desire.js';
import type { CounterIds, Program } from '../compile/program.js';
import type { Cgroup, State } from '../compile/state.js';
import type { Action, Plan } from '../plan/action.js';
import { diff } from '../plan/diff.js';
import type { Policy } from '../policy/policy.js';
import { CgfwError } from '../base/error.js';
import { applyActions } from '../kernel/apply.js';
import type { Failure } from '../kernel/apply.js';
import { listCgroups } from '../kernel/cgroups.js';
import { buildOf } from '../kernel/load.js';
import { lockWriter } from '../kernel/lock.js';
import type { Place } from '../kernel/place.js';
import { readState } from '../kernel/read.js';
import { holdBack } from './guard.js';
import type { Guard, Held } from './guard.js';

/** What a policy would mean here and now, and what it would change. */
export interface Prospect {
  /** What is wanted in force; null: nothing is, and nothing is loaded. */
  readonly program: Program | null;
  readonly cgroups: readonly Cgroup[];
  readonly desired: State;
  readonly loaded: State;
  readonly plan: Plan;
  /** Set files whose new version is held back by their guard. */
  readonly held: readonly Held[];
}

export interface Options {
  /** Guards of set files; [] takes every new version (apply --force). */
  readonly guards: readonly Guard[];
}

/**
 * Compares `policy` with the kernel; changes nothing. Without a policy (null)
 * the loaded one is wanted, for the cgroups that exist now.
 */
export function prospect(place: Place, policy: Policy | null, options: Options): Prospect {
  const cgroups = listCgroups(place.cgroupRoot);
  const loaded = readState(place, cgroups);
  const { program, held } = wantedProgram(policy, loaded.program, options);
  if (program === null) {
    return { program, cgroups, desired: loaded, loaded, plan: diff(loaded, loaded), held };
  }
  const surroundings = { cgroups, build: buildOf(place) };
  const desired = desire(program, surroundings, loaded);
  return { program, cgroups, desired, loaded, plan: diff(desired, loaded), held };
}

function wantedProgram(
  policy: Policy | null,
  loaded: Program | null,
  options: Options,
): { readonly program: Program | null; readonly held: readonly Held[] } {
  if (policy === null) return { program: loaded, held: [] };
  const { policy: effective, held } = holdBack(policy, loaded, options.guards);
  return { program: compileOnce(effective, loaded), held };
}

/** A compiled policy serves again while the same rules have the same counters. */
const compiled = new WeakMap<Policy, Program>();

function compileOnce(policy: Policy, loaded: Program | null): Program {
  const counters: CounterIds = new Map(loaded?.names.rules.map((rule) => [rule.key, rule.counter]));
  const known = compiled.get(policy);
  const isCurrent = known?.names.rules.every((rule) => counters.get(rule.key) === rule.counter);
  if (known !== undefined && isCurrent === true) return known;
  const program = compile(policy, counters);
  compiled.set(policy, program);
  return program;
}

export interface Outcome {
  /** The plan that was carried out. */
  readonly plan: Plan;
  readonly program: Program | null;
  readonly held: readonly Held[];
  /** Cgroups for which something could not be done. */
  readonly failures: readonly Failure[];
  /** What a second look still finds to do; empty when all went well. */
  readonly remaining: Plan;
  /** What is in force now. */
  readonly state: State;
}

export interface ApplyOptions extends Options {
  readonly onAction?: (action: Action) => void;
}

/**
 * Puts `policy` (null: the loaded one) into force. One writer at a time (10 s patience, code `locked`).
 * After the plan the kernel is read again: an action that is still wanted, and
 * did not fail for its cgroup alone, is code `not-in-step`.
 */
export async function reconcile(place: Place, policy: Policy | null, options: ApplyOptions): Promise<Outcome> {
  const lock = await lockWriter(place);
  try {
    const { plan, program, loaded, held } = prospect(place, policy, options);
    if (plan.inStep) return { plan, program, held, failures: [], remaining: plan, state: loaded };
    const failures = await applyActions(place, {
      actions: plan.actions,
      program,
      loaded: loaded.program,
      ...(options.onAction === undefined ? {} : { onAction: options.onAction }),
    });
    const after = prospect(place, policy, options);
    checkInStep(after.plan, failures);
    return { plan, program, held, failures, remaining: after.plan, state: after.loaded };
  } finally {
    lock.close();
  }
}

/** Cgroups may come and go while we work; everything else must be as desired. */
function checkInStep(remaining: Plan, failures: readonly Failure[]): void {
  const unexpected = remaining.actions.filter(
    (action) => action.op === 'fill' || action.op === 'switch' || action.op === 'load',
  );
  if (unexpected.length === 0) return;
  const [first] = unexpected;
  throw new CgfwError(
    `the kernel is not as desired after the apply: ${first?.op ?? ''} ${first?.target ?? ''} is still to do`,
    {
      code: 'not-in-step',
      fix: 'run cgfw diff to see what remains, and report this with its output',
      cause: failures[0]?.error,
    },
  );
}
