// One writer at a time; readers never wait. Locks end with their process.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { lockFile } from './native.js';
import type { FileLock } from './native.js';
import type { Place } from './place.js';

/** Held while a plan is read, made and applied. */
export async function lockWriter(place: Place, deadlineMs = 10_000): Promise<FileLock> {
  mkdirSync(place.runDir, { recursive: true, mode: 0o755 });
  try {
    return await lockFile(join(place.runDir, 'lock'), 'exclusive', 'wait', AbortSignal.timeout(deadlineMs));
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
