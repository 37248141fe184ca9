// Ring buffers, and waiting for programs that run.

import type { OnBatch } from './types.js';
import { addon, NATIVE } from './addon.js';
import type { NativeRing } from './addon.js';
import { count, ERRNO } from './errors.js';
import type { BpfMap } from './map.js';

/**
 * The one reader of a ring buffer. A wake-up by the kernel calls onBatch from
 * the event loop; records submitted without one wait for consume().
 */
export class Ring {
  readonly #native: NativeRing;

  constructor(native: NativeRing) {
    this.#native = native;
  }

  /** Reads one batch now (at most 65,536 records or 4 MiB); the number of records. */
  consume(): number {
    return count('read', 'ring', this.#native.consume());
  }

  /** Bytes in the ring, headers included. */
  get pendingBytes(): number {
    return count('read', 'ring', this.#native.pending());
  }

  /** The ring keeps the process alive (as at the beginning). */
  ref(): void {
    this.#native.ref();
  }

  unref(): void {
    this.#native.unref();
  }

  close(): void {
    this.#native.close();
  }
}

/** Opens a ring buffer for reading; only one reader may exist at a time. */
export function openRing(map: BpfMap, onBatch: OnBatch): Ring {
  const native = addon().newRing();
  count('open ring', map.info.name, native.open(map[NATIVE], onBatch));
  return new Ring(native);
}

/**
 * Resolves when every program that was running at the call has ended: what it
 * may have read can be overwritten. Takes some 10 ms, off the main thread.
 */
export async function membarrier(): Promise<void> {
  const result = await addon().membarrier();
  // EINVAL: a nohz_full kernel has no global barrier. A map swap waits as long.
  if (result === -ERRNO.EINVAL || result === -ERRNO.ENOSYS) return waitForPrograms();
  count('wait for running programs', '', result);
}

/** As membarrier, by changing a map of maps: the kernel then waits for readers. */
export async function waitForPrograms(): Promise<void> {
  count('wait for running programs', '', await addon().swapInnerMap());
}
