// The end of a trial: confirmed, or what was in force before comes back.

import { CgfwError } from '../base/error.js';
import type { Program } from '../compile/program.js';
import { lockWriter } from '../kernel/lock.js';
import { removeEverything } from '../kernel/pins.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import { readSlot } from '../kernel/slot.js';
import { monotonicNs, readTrial, removeTrial } from '../kernel/trial.js';
import type { Trial } from '../kernel/trial.js';
import { carryOut } from './carry-out.js';

/** The trial whose generation is in force now; null when there is none. */
export function pendingTrial(place: Place): Trial | null {
  const trial = readTrial(place);
  return trial !== null && trial.generation === generationOf(place) ? trial : null;
}

function generationOf(place: Place): number {
  const set = openCurrentSet(place.pinRoot);
  if (set === null) return 0;
  try {
    return set.generation;
  } finally {
    set.close();
  }
}

/** Seconds that are left, rounded up; 0 when the deadline has passed. */
export function secondsLeft(trial: Trial): number {
  const leftNs = trial.deadlineNs - monotonicNs();
  return leftNs <= 0n ? 0 : Math.ceil(Number(leftNs) / 1e9);
}

/**
 * With the writer's lock held: ends a trial whose time is up, or that something
 * else has replaced. `reverted` when what was in force before is in force again.
 */
export async function settleTrial(
  place: Place,
): Promise<{ readonly pending: Trial | null; readonly reverted: boolean }> {
  const trial = pendingTrial(place);
  if (trial === null) {
    removeTrial(place);
    return { pending: null, reverted: false };
  }
  if (secondsLeft(trial) > 0) return { pending: trial, reverted: false };
  await putBack(place, trial);
  return { pending: null, reverted: true };
}

/** Keeps what is on trial. Throws `usage` when nothing is. */
export async function confirmTrial(place: Place): Promise<Trial> {
  return await withTrial(place, () => removeTrial(place));
}

/** Puts back at once what was in force before. Throws `usage` when nothing is on trial. */
export async function revertTrial(place: Place): Promise<Trial> {
  return await withTrial(place, (trial) => putBack(place, trial));
}

async function withTrial(
  place: Place,
  end: (trial: Trial) => Promise<void> | void,
): Promise<Trial> {
  const lock = await lockWriter(place);
  try {
    const { pending, reverted } = await settleTrial(place);
    if (pending === null) throw notOnTrial(reverted);
    await end(pending);
    return pending;
  } finally {
    lock.close();
  }
}

function notOnTrial(reverted: boolean): CgfwError {
  return new CgfwError(
    reverted
      ? 'the trial was over; what was in force before it is in force again'
      : 'no policy is on trial',
    {
      code: 'usage',
      fix: 'begin a trial with cgfw apply --confirm 60s',
    },
  );
}

/** Repeatable: the record goes last, and filling a slot with what it held leaves it as it was. */
async function putBack(place: Place, trial: Trial): Promise<void> {
  if (trial.previous === 0) {
    removeEverything(place.pinRoot);
    return;
  }
  await carryOut(place, previousProgram(place, trial), { guards: [] });
  removeTrial(place);
}

function previousProgram(place: Place, trial: Trial): Program {
  const set = openCurrentSet(place.pinRoot);
  if (set === null)
    throw new CgfwError('no policy is loaded', { code: 'not-loaded', fix: 'load one: cgfw apply' });
  try {
    try {
      return readSlot(set.maps, set.capacity, trial.previous);
    } catch (error) {
      if (!(error instanceof CgfwError) || error.code !== 'abi') throw error;
      // A return that was cut short has written its number already.
      return readSlot(set.maps, set.capacity, trial.generation + 1);
    }
  } finally {
    set.close();
  }
}
