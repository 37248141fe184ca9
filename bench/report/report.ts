// Tables for people: on the terminal, and in the README between its markers.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { round } from '../lib/stats.js';
import type { Mode, Question, Row } from '../question.js';
import { BUDGETS } from './budgets.js';
import type { Budget } from './budgets.js';
import { Figures, readAnswer } from './rows.js';
import type { Answer } from './rows.js';

const README = join(PACKAGE_ROOT, 'bench/README.md');
const BEGIN = '<!-- results -->';
const END = '<!-- end of results -->';

export function printRows(rows: readonly Row[]): void {
  for (const { variant, metric, unit, value, low, high, samples } of rows) {
    const spread =
      low === undefined || samples === 1 ? '' : `  (${String(low)} .. ${String(high)})`;
    console.log(`    ${variant}: ${metric} ${String(value)} ${unit}${spread}`);
  }
}

/** Prints the budgets; a full pass also writes all tables into the README. */
export function writeReport(folder: string, questions: readonly Question[], mode: Mode): void {
  const answers = new Map<string, Answer>();
  for (const { name } of questions) {
    const answer = readAnswer(folder, name);
    if (answer !== null) answers.set(name, answer);
  }
  const budgets = budgetTable(new Figures(answers));
  console.log(`\n${budgets.join('\n')}`);
  if (mode === 'quick') return;
  const parts = questions.flatMap(({ name, asks }) => questionPart(name, asks, answers.get(name)));
  const text = [
    BEGIN,
    ...machinePart([...answers.values()]),
    '### Budgets',
    '',
    ...budgets,
    '',
    ...parts,
    END,
  ].join('\n');
  const readme = readFileSync(README, 'utf8');
  const [before = ''] = readme.split(BEGIN);
  const after = readme.split(END)[1] ?? '\n';
  writeFileSync(README, `${before}${text}${after}`);
}

function budgetTable(figures: Figures): string[] {
  const lines = BUDGETS.map((budget) => budgetLine(budget, budget.measured(figures)));
  return ['| what | budget | measured | of the budget | |', '|---|---|---|---|---|', ...lines];
}

function budgetLine({ what, limit, unit, bound }: Budget, measured: number): string {
  const sign = bound === 'most' ? '<=' : '>=';
  const budget = `${sign} ${inWords(limit, unit)}`;
  if (Number.isNaN(measured)) return `| ${what} | ${budget} | not measured | | |`;
  const isMet = bound === 'most' ? measured <= limit : measured >= limit;
  const share = limit === 0 ? '' : String(round(measured / limit));
  return `| ${what} | ${budget} | ${inWords(measured, unit)} | ${share} | ${isMet ? 'met' : '**not met**'} |`;
}

function inWords(value: number, unit: string): string {
  if (unit === 'x' && value < 0.2 && value > 0) return `1/${String(round(1 / value))}`;
  return `${round(value).toLocaleString('en-US')} ${unit}`;
}

function machinePart(answers: readonly Answer[]): string[] {
  const [first] = answers;
  if (first === undefined) return ['', 'Nothing was measured yet.', ''];
  const { machine, seed, mode } = first.head;
  const tools = Object.entries(machine.tools).map(([name, version]) => `${name} ${version}`);
  const dates = answers.map(({ head }) => head.machine.date).sort();
  return [
    '',
    `${machine.cpu}, ${String(machine.cores)} cores, ${String(machine.memoryGb)} GB; Linux ${machine.kernel}; Node.js ${machine.node}; ${tools.join(', ')}.`,
    `Measured ${dates[0] ?? ''} to ${dates.at(-1) ?? ''} UTC, ${mode} pass, seed ${String(seed)}.`,
    '',
  ];
}

function questionPart(name: string, asks: string, answer: Answer | undefined): string[] {
  if (answer === undefined) return [];
  const failed = answer.failed.map(
    ({ failed: trial, reason }) => `- not measured: ${trial}: ${reason}`,
  );
  return [`### ${name}`, '', asks, '', ...matrix(answer.rows), ...failed, ''];
}

/** Variants down, metrics across; where the metrics are many, the other way round. */
function matrix(rows: readonly Row[]): string[] {
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const metrics = [...new Set(rows.map(({ metric, unit }) => `${metric} (${unit})`))];
  const cells = new Map(
    rows.map(({ variant, metric, unit, value }) => [`${variant}\0${metric} (${unit})`, value]),
  );
  const isWide = metrics.length > variants.length;
  const [down, across] = isWide ? [metrics, variants] : [variants, metrics];
  const cell = (row: string, column: string): string => {
    const value = cells.get(isWide ? `${column}\0${row}` : `${row}\0${column}`);
    return value === undefined ? '' : value.toLocaleString('en-US');
  };
  return [
    `| | ${across.join(' | ')} |`,
    `|---|${across.map(() => '---:|').join('')}`,
    ...down.map((row) => `| ${row} | ${across.map((column) => cell(row, column)).join(' | ')} |`),
  ];
}
