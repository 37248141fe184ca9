import type { Held } from '../agent/guard.js';
import { describeLockout } from '../agent/lockout.js';
import type { Lockout } from '../agent/lockout.js';
import type { World } from './world.js';

/** Says which set files are held back; on stderr, so that --json stays one document. */
export function warnHeld(world: World, held: readonly Held[]): void {
  for (const { set, share, prefixes, add, remove } of held) {
    world.stderr(
      `warning[set-guard]: the new version of set ${set} adds ${String(add)} and removes ${String(remove)} of ` +
        `${String(prefixes)} prefixes, its guard allows ${String(Math.round(share * 100))}%: the loaded list stays\n` +
        '  fix: look at the file; if it is right, run cgfw apply --force\n',
    );
  }
}

/** Says which SSH connections apply would refuse to drop. */
export function warnLockouts(world: World, lockouts: readonly Lockout[]): void {
  for (const lockout of lockouts) {
    world.stderr(
      `warning[lockout]: this policy would drop an established SSH connection: ${describeLockout(lockout)}\n` +
        '  fix: allow it in a rule above; cgfw apply refuses this without --force\n',
    );
  }
}
