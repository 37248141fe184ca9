// Asks the questions one after the other. Writes results as JSON lines and the
// tables of the README.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/kernel/place.js';
import { SEED } from './lib/data.js';
import { describeMachine } from './lib/machine.js';
import { BUILT } from './lib/run.js';
import type { Mode, Question } from './question.js';
import { QUESTIONS } from './questions/all.js';
import { printRows, writeReport } from './report/report.js';
import { Runner } from './runner.js';

const mode: Mode = process.argv.includes('--quick') ? 'quick' : 'full';
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const unknown = wanted.find((name) => !QUESTIONS.some((question) => question.name === name));
if (unknown !== undefined) {
  console.error(
    `bench: there is no question ${unknown}: ask ${QUESTIONS.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

/** Figures of a quick pass are for looking at, not for keeping. */
const RESULTS = mode === 'full' ? join(PACKAGE_ROOT, 'bench/results') : join(BUILT, 'quick');

const runner = new Runner(mode);
// A terminal interrupts npm and us, and npm passes it on: it may come more than once.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void runner.interrupt().finally(() => process.exit(130));
  });
}

async function ask(question: Question): Promise<number> {
  const lines: object[] = [
    { question: question.name, mode, seed: SEED, machine: describeMachine() },
  ];
  let failed = 0;
  console.log(`\n${question.name}: ${question.asks}`);
  for (const trial of question.trials(mode)) {
    const startMs = performance.now();
    const rows = await runner.run(question, trial);
    const seconds = Math.round((performance.now() - startMs) / 100) / 10;
    if (typeof rows === 'string') {
      failed++;
      console.log(`  FAILED ${trial.name} (${String(seconds)} s): ${rows}`);
      lines.push({
        failed: trial.name,
        reason: rows.split('\n').find((line) => line.includes('Error')) ?? rows.slice(0, 300),
      });
      continue;
    }
    console.log(`  ${trial.name} (${String(seconds)} s)`);
    printRows(rows);
    lines.push(...rows);
  }
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(
    join(RESULTS, `${question.name}.jsonl`),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
  return failed;
}

console.log(`bench: ${mode} pass, seed ${String(SEED)}`);
let failures = 0;
for (const question of QUESTIONS) {
  if (wanted.length === 0 || wanted.includes(question.name)) failures += await ask(question);
}
writeReport(RESULTS, QUESTIONS, mode);
console.log(failures === 0 ? '\nbench: done' : `\nbench: done, ${String(failures)} trials failed`);
process.exitCode = failures === 0 ? 0 : 1;
