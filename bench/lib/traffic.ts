// The traffic program (bench/traffic.c) as a value.

import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BUILT, must, start } from './run.js';
import type { Where } from './run.js';

export interface Traffic {
  readonly count: number;
  readonly errors: number;
  readonly received: number;
  /** Median over chunks: ns of CPU a packet or connection, ns of time an exchange. */
  readonly ns: number;
}

export interface Flips {
  readonly count: number;
  /** Generations that came meanwhile, or else changes that were seen. */
  readonly switches: number;
  readonly misjudged: number;
  readonly errors: number;
  /** Sends during which the generation changed; where generations can be read. */
  readonly during?: number;
  /** Packets that met each of the policies. */
  readonly met?: readonly [number, number];
  /** Where they cannot. */
  readonly longestMs?: number;
}

/** Runs the traffic program in its cgroup and namespace. */
export async function traffic(where: Where, ...argv: readonly string[]): Promise<Traffic> {
  const { stdout } = await must([join(BUILT, 'traffic'), ...argv], where);
  return JSON.parse(stdout) as Traffic;
}

/**
 * Sends to two addresses in turn for as long as `during` takes. `control`: the pin
 * of the map whose first word is the generation in force.
 */
export async function flips<T>(
  where: Where,
  control: string | null,
  pair: readonly [string, string],
  during: () => Promise<T>,
): Promise<readonly [T, Flips]> {
  const argv = ['flip', '-s', '300', ...(control === null ? [] : ['-g', control]), ...pair];
  const child = start([join(BUILT, 'traffic'), ...argv], where, ['ignore', 'pipe', 'inherit']);
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const closed = once(child, 'close');
  await delay(200);
  const done = await during();
  await delay(200);
  child.kill('SIGTERM');
  await closed;
  return [done, JSON.parse(said) as Flips];
}
