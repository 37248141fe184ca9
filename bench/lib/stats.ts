// Samples to rows.

import type { Row } from '../question.js';

export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** A row whose value is the median of the samples. */
export function rowOf(
  variant: string,
  metric: string,
  unit: string,
  samples: readonly number[],
): Row {
  return {
    variant,
    metric,
    unit,
    value: round(median(samples)),
    low: round(Math.min(...samples)),
    high: round(Math.max(...samples)),
    samples: samples.length,
  };
}

/** Four digits are more than the measurement is good for. */
export function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** 100000 as people say it: 100 k. */
export function count(size: number): string {
  if (size >= 1_000_000) return `${String(size / 1_000_000)} M`;
  return size >= 1000 ? `${String(size / 1000)} k` : String(size);
}
