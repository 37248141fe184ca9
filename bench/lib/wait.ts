// Waiting for facts.

import { setTimeout as delay } from 'node:timers/promises';

/** Looks every `stepMs`; throws with the fact's name after the deadline. */
export async function until(
  fact: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number,
  stepMs = 2,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${String(deadlineMs)} ms: ${fact}`);
    await delay(stepMs);
  }
}
