// A policy on trial (apply --confirm): when it ends, and what it would go back to.
//
// Kept in a pinned map, like everything that enforcement needs: whoever comes
// first after the deadline, the process that waits for it, an agent or the next
// apply, finds it there and puts back the generation before, which is still
// whole in the idle slot.

import { join } from 'node:path';
import { createMap, isErrno, openPinnedMap } from './native.js';
import { removePin } from './pins.js';
import type { Place } from './place.js';

export interface Trial {
  /** On the monotonic clock (monotonicNs). */
  readonly deadlineNs: bigint;
  /** The generation on trial. */
  readonly generation: number;
  /** The one before it; 0: nothing was loaded. */
  readonly previous: number;
}

const PIN = 'trial';
const SPEC = { keySize: 4, valueSize: 24, maxEntries: 1, name: 'trial' };
const KEY = new Uint8Array(4);

/** The clock of deadlines: the same in every process, and nobody can set it. */
export function monotonicNs(): bigint {
  return process.hrtime.bigint();
}

/** null: none was begun, or the last one has ended. */
export function readTrial(place: Place): Trial | null {
  try {
    const map = openPinnedMap(join(place.pinRoot, PIN));
    try {
      const value = map.lookup(KEY);
      if (value === null) return null;
      const [deadlineNs = 0n, generation = 0n, previous = 0n] = new BigUint64Array(
        Uint8Array.from(value).buffer,
      );
      return { deadlineNs, generation: Number(generation), previous: Number(previous) };
    } finally {
      map.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Replaces an older trial. */
export function writeTrial(place: Place, { deadlineNs, generation, previous }: Trial): void {
  removeTrial(place);
  const map = createMap('array', SPEC);
  try {
    const words = new BigUint64Array([deadlineNs, BigInt(generation), BigInt(previous)]);
    map.update(KEY, new Uint8Array(words.buffer));
    map.pin(join(place.pinRoot, PIN));
  } finally {
    map.close();
  }
}

export function removeTrial(place: Place): void {
  removePin(place.pinRoot, PIN);
}
