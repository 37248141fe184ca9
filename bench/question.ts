// What a bench question is: trials that each run in a process of their own.

import type { Ground } from './lib/ground.js';

/** quick: a short pass to see that all works; full: figures worth keeping. */
export type Mode = 'quick' | 'full';

/** One figure. */
export interface Row {
  /** What was measured: `cgfw 100 k`, `nft set 1 M`. */
  readonly variant: string;
  /** Of what: `udp hot added`. */
  readonly metric: string;
  readonly unit: string;
  /** The median where there are several samples. */
  readonly value: number;
  /** Lowest and highest sample, and how many there are. */
  readonly low?: number;
  readonly high?: number;
  readonly samples?: number;
}

export interface Trial {
  readonly name: string;
  /** After this long the trial is ended and counts as failed. */
  readonly timeoutS: number;
  run(ground: Ground, mode: Mode): Promise<readonly Row[]>;
}

export interface Question {
  readonly name: string;
  /** One sentence for the README. */
  readonly asks: string;
  trials(mode: Mode): readonly Trial[];
}
