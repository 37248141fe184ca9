// Measuring without and with, in turns: what drifts, drifts for both.

import type { Mode } from '../question.js';
import { median, quantile } from './stats.js';

export interface Pairs {
  readonly base: readonly number[];
  readonly other: readonly number[];
  /** With, less without. */
  readonly added: readonly number[];
  /** With, over without. */
  readonly ratios: readonly number[];
}

const LEAST = 5;
const MOST = 15;
/** Where the middle half of the differences spans less, by the cost or at all, more pairs change nothing. */
const NARROW = { share: 0.01, ns: 4 };

/**
 * At least five pairs, and as many more as their spread asks for (a full pass: up
 * to `mostOfFull`), each in the other order than the one before. `measure` gives
 * the cost of one run.
 */
export async function pairs(
  mode: Mode,
  measure: (which: 'base' | 'other') => Promise<number>,
  mostOfFull = MOST,
): Promise<Pairs> {
  const base: number[] = [];
  const other: number[] = [];
  const added: number[] = [];
  const ratios: number[] = [];
  const most = mode === 'quick' ? LEAST : mostOfFull;
  while (base.length < LEAST || (base.length < most && !isNarrow(other, added))) {
    const order =
      base.length % 2 === 0 ? (['base', 'other'] as const) : (['other', 'base'] as const);
    const found = { base: NaN, other: NaN };
    for (const which of order) found[which] = await measure(which);
    base.push(found.base);
    other.push(found.other);
    added.push(found.other - found.base);
    ratios.push(found.other / found.base);
  }
  return { base, other, added, ratios };
}

/** An even number leaves none of the two orders with one pair more. */
function isNarrow(other: readonly number[], added: readonly number[]): boolean {
  if (other.length % 2 === 1) return false;
  const most = Math.max(NARROW.share * median(other), NARROW.ns);
  return quantile(added, 0.75) - quantile(added, 0.25) < most;
}
