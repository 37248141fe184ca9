// Reads a file that decides who may talk to whom: only one that others cannot write.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';

export type SafeRead =
  | { readonly kind: 'read'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'failed';
      readonly why: 'unreadable' | 'unsafe-owner' | 'too-large';
      readonly reason: string;
      readonly fix: string;
    };

/**
 * The file's bytes, or why not. As root (`uid` 0), the file must belong to root
 * and be writable by nobody else: whoever writes the policy owns the network.
 */
export function readSafely(path: string, maxBytes: number, uid: number): SafeRead {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const stats = fstatSync(descriptor);
    const refusal = refuse(path, stats, maxBytes, uid);
    if (refusal !== null) return refusal;
    return { kind: 'read', bytes: readFileSync(descriptor) };
  } catch (error) {
    return { kind: 'failed', why: 'unreadable', ...explain(path, error as NodeJS.ErrnoException) };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function refuse(path: string, stats: Stats, maxBytes: number, uid: number): SafeRead | null {
  if (!stats.isFile()) {
    return {
      kind: 'failed',
      why: 'unreadable',
      reason: 'it is not a regular file',
      fix: 'name a file',
    };
  }
  if (uid === 0 && stats.uid !== 0) {
    const reason = `it belongs to user ${String(stats.uid)}, and cgfw runs as root`;
    return { kind: 'failed', why: 'unsafe-owner', reason, fix: `run: chown root ${path}` };
  }
  if (uid === 0 && (stats.mode & 0o022) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
    const reason = `others can write it (mode ${mode})`;
    return { kind: 'failed', why: 'unsafe-owner', reason, fix: `run: chmod go-w ${path}` };
  }
  if (stats.size > maxBytes) {
    const reason = `it has ${String(stats.size)} bytes; ${String(maxBytes)} are allowed`;
    return { kind: 'failed', why: 'too-large', reason, fix: 'put address lists in set files' };
  }
  return null;
}

function explain(path: string, error: NodeJS.ErrnoException): { reason: string; fix: string } {
  switch (error.code) {
    case 'ENOENT':
      return { reason: 'there is no such file', fix: `create ${path}, or name another file` };
    case 'EACCES':
    case 'EPERM':
      return {
        reason: 'it may not be read by this user',
        fix: `run as root, or: chmod a+r ${path}`,
      };
    case 'EISDIR':
      return { reason: 'it is a directory', fix: 'name a file' };
    case undefined:
    default:
      return { reason: error.message, fix: 'make the file readable' };
  }
}
