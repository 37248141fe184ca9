import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { World } from './world.js';

const BIN = join(import.meta.dirname, 'bin.js');

/**
 * Starts a cgfw of its own session, which the end of this terminal or of this
 * process does not reach. Throws when there is no process to be had.
 */
export function startDetached(world: World, argv: readonly string[]): void {
  const child = spawn(process.execPath, [BIN, ...argv], {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
    env: world.env,
  });
  if (child.pid === undefined)
    throw new Error('no process could be started to wait for the confirmation');
  child.unref();
}
