// Results as they were written: one file of JSON lines for each question.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../lib/machine.js';
import { median } from '../lib/stats.js';
import type { Mode, Row } from '../question.js';

export interface Head {
  readonly question: string;
  readonly mode: Mode;
  readonly seed: number;
  readonly machine: Machine;
}

export interface Failed {
  readonly failed: string;
  readonly reason: string;
}

export interface Answer {
  readonly head: Head;
  /** Rows of repeated trials are one row here: the median of their values. */
  readonly rows: readonly Row[];
  readonly failed: readonly Failed[];
}

/** null: the question was not asked yet. */
export function readAnswer(folder: string, question: string): Answer | null {
  const file = join(folder, `${question}.jsonl`);
  if (!existsSync(file)) return null;
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as object);
  const [head, ...rest] = lines;
  const failed = rest.filter((line): line is Failed => 'failed' in line);
  const rows = rest.filter((line): line is Row => 'metric' in line);
  return { head: head as Head, rows: merge(rows), failed };
}

function merge(rows: readonly Row[]): Row[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.variant}\0${row.metric}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length === 1) return group;
    const values = group.map(({ value }) => value);
    return [
      {
        ...first,
        value: median(values),
        low: Math.min(...values),
        high: Math.max(...values),
        samples: group.length,
      },
    ];
  });
}

/** Finds figures by question, variant and metric. */
export class Figures {
  readonly #answers: ReadonlyMap<string, Answer>;

  constructor(answers: ReadonlyMap<string, Answer>) {
    this.#answers = answers;
  }

  /** NaN: not measured. */
  value(question: string, variant: string, metric: string): number {
    const rows = this.#answers.get(question)?.rows ?? [];
    return rows.find((row) => row.variant === variant && row.metric === metric)?.value ?? NaN;
  }

  /** The largest value of all metrics that match; NaN: none was measured. */
  worst(question: string, variant: string, metric: RegExp): number {
    const rows = this.#answers.get(question)?.rows ?? [];
    const values = rows
      .filter((row) => row.variant === variant && metric.test(row.metric))
      .map(({ value }) => value);
    return values.length === 0 ? NaN : Math.max(...values);
  }
}
