// Whether an agent runs, and which file it follows.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CgfwError } from '../base/error.js';
import { lockHolder } from '../kernel/lock.js';
import { lockFile } from '../kernel/native.js';
import type { FileLock } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';

export interface Presence {
  readonly pid: number;
  /** Absolute path of the policy file that it follows; null when it has not said so yet. */
  readonly policy: string | null;
}

const lockPath = (place: Place): string => join(place.runDir, 'agent.lock');

/** One agent at a time: code `locked` when there is another. */
export function lockAgent(place: Place, policyPath: string): FileLock {
  mkdirSync(place.runDir, { recursive: true, mode: 0o755 });
  const lock = lockFile(lockPath(place), 'exclusive', 'try');
  if (lock === null) throw anotherRuns(agentOf(place));
  writeFileSync(lockPath(place), `${resolve(policyPath)}\n`);
  return lock;
}

function anotherRuns(other: Presence | null): CgfwError {
  const who =
    other === null ? '' : ` (pid ${String(other.pid)}, on ${other.policy ?? 'its policy file'})`;
  return new CgfwError(`another cgfw agent is running${who}`, {
    code: 'locked',
    fix:
      other === null
        ? 'stop it first'
        : `stop it first: kill ${String(other.pid)}, or systemctl stop cgfw`,
  });
}

/** The running agent; null when there is none. */
export function agentOf(place: Place): Presence | null {
  const pid = lockHolder(lockPath(place));
  if (pid === null) return null;
  const policy = readFileSync(lockPath(place), 'utf8').trim();
  return { pid, policy: policy === '' ? null : policy };
}
