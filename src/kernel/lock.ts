// One writer at a time; readers never wait. Locks end with their process.

import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { lockFile } from './native.js';
import type { FileLock } from './native.js';
import type { Place } from './place.js';

/** Held while a plan is read, made and applied. */
export async function lockWriter(place: Place, deadlineMs = 10_000): Promise<FileLock> {
  mkdirSync(place.runDir, { recursive: true, mode: 0o755 });
  try {
    return await lockFile(
      join(place.runDir, 'lock'),
      'exclusive',
      'wait',
      AbortSignal.timeout(deadlineMs),
    );
  } catch (cause) {
    if (cause instanceof CgfwError) throw cause;
    throw new CgfwError('another cgfw has been changing the policy for 10 seconds', {
      code: 'locked',
      fix: `see which process holds ${join(place.runDir, 'lock')} (fuser -v), then try again`,
      cause,
    });
  }
}

/** Held by whoever reads the event ring; null when another process does. */
export function lockEvents(place: Place): FileLock | null {
  mkdirSync(place.runDir, { recursive: true, mode: 0o755 });
  return lockFile(join(place.runDir, 'events.lock'), 'exclusive', 'try');
}

/** The process that holds an exclusive lock on a file, without taking it; null when none does. */
export function lockHolder(path: string): number | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const [, kind, , mode, pid, file] = line.trim().split(/\s+/);
    if (kind === 'FLOCK' && mode === 'WRITE' && file === deviceOf(stats.dev, stats.ino))
      return Number(pid);
  }
  return null;
}

/** As /proc/locks writes it: major and minor number in hex, inode in decimal. */
function deviceOf(dev: number, inode: number): string {
  const hex = (number: number): string => number.toString(16).padStart(2, '0');
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  return `${hex(major)}:${hex(minor)}:${String(inode)}`;
}
