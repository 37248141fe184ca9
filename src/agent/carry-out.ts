// Read, plan, apply, read again: the one way in which anything is changed.

import { CgfwError } from '../base/error.js';
import type { Program } from '../compile/program.js';
import type { State } from '../compile/state.js';
import { applyActions } from '../kernel/apply.js';
import type { Failure } from '../kernel/apply.js';
import type { Place } from '../kernel/place.js';
import { nextTurn } from '../kernel/turn.js';
import type { Action, Plan } from '../plan/action.js';
import type { Held } from './guard.js';
import { lockoutsOf, refuseLockouts } from './lockout.js';
import { prospect } from './prospect.js';
import type { ProspectOptions, Wanted } from './prospect.js';

export interface Outcome {
  /** The plan that was carried out. */
  readonly plan: Plan;
  readonly program: Program | null;
  readonly held: readonly Held[];
  /** Cgroups and interfaces for which something could not be done. */
  readonly failures: readonly Failure[];
  /** What a second look still finds to do; empty when all went well. */
  readonly remaining: Plan;
  /** What is in force now. */
  readonly state: State;
}

export interface CarryOutOptions extends ProspectOptions {
  /** Refuses (code `lockout`) what would drop an operator's SSH connection; the environment may name one. */
  readonly operator?: NodeJS.ProcessEnv;
  /** Before the first action of a plan that is not empty. */
  readonly onPlan?: (plan: Plan, loaded: State) => void;
  readonly onAction?: (action: Action) => void;
}

/**
 * Puts `wanted` into force; the caller holds the writer's lock. Afterwards the
 * kernel is read again: an action that is still wanted, and did not fail for its
 * cgroup alone, is code `not-in-step`.
 */
export async function carryOut(
  place: Place,
  wanted: Wanted,
  options: CarryOutOptions,
): Promise<Outcome> {
  const prospected = prospect(place, wanted, options);
  const { plan, program, loaded, held } = prospected;
  if (plan.inStep) return { plan, program, held, failures: [], remaining: plan, state: loaded };
  if (options.operator !== undefined && wanted !== null)
    refuseLockouts(lockoutsOf(prospected, options.operator));
  // Nobody else writes meanwhile: the caller holds the lock.
  await nextTurn();
  options.onPlan?.(plan, loaded);
  const failures = await applyActions(place, {
    actions: plan.actions,
    program,
    loaded: loaded.program,
    ...(options.onAction === undefined ? {} : { onAction: options.onAction }),
  });
  await nextTurn();
  const after = prospect(place, wanted, options);
  checkInStep(after.plan, failures);
  return { plan, program, held, failures, remaining: after.plan, state: after.loaded };
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
