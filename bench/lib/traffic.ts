// The traffic program (bench/traffic.c) as a value.

import { join } from 'node:path';
import { BUILT, must } from './run.js';
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
  readonly switches: number;
  readonly mixtures: number;
  readonly impossible: number;
  readonly errors: number;
  readonly longestMs: number;
}

/** Runs the traffic program in its cgroup and namespace. */
export async function traffic(where: Where, ...argv: readonly string[]): Promise<Traffic> {
  const { stdout } = await must([join(BUILT, 'traffic'), ...argv], where);
  return JSON.parse(stdout) as Traffic;
}

export async function flips(
  where: Where,
  seconds: number,
  first: string,
  second: string,
): Promise<Flips> {
  const { stdout } = await must(
    [join(BUILT, 'traffic'), 'flip', '-s', String(seconds), first, second],
    where,
  );
  return JSON.parse(stdout) as Flips;
}
