// Locks on files.

import { setTimeout as delay } from 'node:timers/promises';
import { addon } from './addon.js';
import { ERRNO, take } from './errors.js';

export type LockMode = 'exclusive' | 'shared';

/** A held lock on a file; the kernel releases it when the process ends. */
export interface FileLock {
  close(): void;
}

const LOCK_RETRY_MS = 20;

/** flock(2) on a file, made if absent; `try`: null when another process holds it. */
export function lockFile(path: string, mode: LockMode, patience: 'try'): FileLock | null;
/** `wait`: until it is free; `signal` gives up. */
export function lockFile(
  path: string,
  mode: LockMode,
  patience: 'wait',
  signal?: AbortSignal,
): Promise<FileLock>;
export function lockFile(
  path: string,
  mode: LockMode,
  patience: 'try' | 'wait',
  signal?: AbortSignal,
): FileLock | null | Promise<FileLock> {
  return patience === 'try' ? tryLock(path, mode) : waitForLock(path, mode, signal);
}

function tryLock(path: string, mode: LockMode): FileLock | null {
  const lock = addon().lockFile(path, mode === 'exclusive');
  if (lock === -ERRNO.EWOULDBLOCK) return null;
  const native = take('lock', path, lock);
  return { close: () => void native.close() };
}

// A thread that sleeps in flock(2) could not be woken, and would keep the
// process from ending: so ask again and again.
async function waitForLock(path: string, mode: LockMode, signal?: AbortSignal): Promise<FileLock> {
  for (;;) {
    signal?.throwIfAborted();
    const lock = tryLock(path, mode);
    if (lock !== null) return lock;
    await delay(LOCK_RETRY_MS, undefined, signal === undefined ? {} : { signal });
  }
}
