import type { Held } from '../agent/guard.js';
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
