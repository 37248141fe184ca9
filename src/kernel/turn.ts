// Long work in pieces, so that events, signals and watches need not wait for all of it.

import { setImmediate as nextCheck } from 'node:timers/promises';

/**
 * Lets everything else that is due have its turn: one whole round of the event loop.
 * The first wait alone may end in the same round, before any timer or signal.
 */
export async function nextTurn(): Promise<void> {
  await nextCheck();
  await nextCheck();
}
