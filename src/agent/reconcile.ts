// One change at a time: the lock, a policy that may be on trial, and the plan.

import { CgfwError } from '../base/error.js';
import { lockWriter } from '../kernel/lock.js';
import type { Place } from '../kernel/place.js';
import { monotonicNs, writeTrial } from '../kernel/trial.js';
import type { Trial } from '../kernel/trial.js';
import type { Plan } from '../plan/action.js';
import type { State } from '../compile/state.js';
import type { Policy } from '../policy/policy.js';
import { carryOut } from './carry-out.js';
import type { CarryOutOptions, Outcome as CarriedOut } from './carry-out.js';
import { secondsLeft, settleTrial } from './trial.js';

export interface Outcome extends CarriedOut {
  /** A policy that waits for its confirmation: it was kept, whatever else was wanted. */
  readonly trial: Trial | null;
  /** A trial was over: what was in force before it came back first. */
  readonly reverted: boolean;
}

export interface ReconcileOptions extends CarryOutOptions {
  /** Puts the policy into force on trial, for this long. */
  readonly confirmWithinMs?: number;
  /** While a policy is on trial: keep that one (the default), or throw `locked`. */
  readonly duringTrial?: 'keep' | 'refuse';
}

/**
 * Puts `policy` (null: the loaded one) into force. One writer at a time (10 s
 * patience, code `locked`). A policy on trial is neither replaced nor forgotten.
 */
export async function reconcile(
  place: Place,
  policy: Policy | null,
  options: ReconcileOptions,
): Promise<Outcome> {
  const lock = await lockWriter(place);
  try {
    const { pending, reverted } = await settleTrial(place);
    if (pending !== null && options.duringTrial === 'refuse') throw onTrial(pending);
    const { confirmWithinMs } = options;
    const onPlan = confirmWithinMs === undefined ? undefined : beginTrial(place, confirmWithinMs);
    const carried = await carryOut(place, pending === null ? policy : null, {
      ...options,
      ...(onPlan === undefined ? {} : { onPlan }),
    });
    return { ...carried, trial: pending, reverted };
  } finally {
    lock.close();
  }
}

function onTrial(trial: Trial): CgfwError {
  return new CgfwError(
    `another policy is on trial for ${String(secondsLeft(trial))} more seconds`,
    {
      code: 'locked',
      fix: 'end the trial first: cgfw confirm keeps that policy, cgfw confirm --revert puts back the one before',
    },
  );
}

/** Noted before the switch: from then on only a confirmation keeps the new policy. */
function beginTrial(place: Place, confirmWithinMs: number): (plan: Plan, loaded: State) => void {
  return (plan, loaded) => {
    if (!plan.actions.some(({ op }) => op === 'switch')) return;
    if (loaded.generation !== 0 && loaded.program === null) {
      throw new CgfwError(
        'what is loaded cannot be read, so it could not be put back after a trial',
        {
          code: 'abi',
          fix: 'apply without --confirm',
        },
      );
    }
    const deadlineNs = monotonicNs() + BigInt(Math.round(confirmWithinMs * 1e6));
    writeTrial(place, {
      deadlineNs,
      generation: loaded.generation + 1,
      previous: loaded.generation,
    });
  };
}
