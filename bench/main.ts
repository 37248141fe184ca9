// Runs questions: each trial in a fresh process and on fresh ground, whatever
// becomes of it. Writes results as JSON lines and the table of the README.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/kernel/place.js';
import { SEED } from './lib/data.js';
import { Ground } from './lib/ground.js';
import { describeMachine } from './lib/machine.js';
import { BUILT } from './lib/run.js';
import type { Mode, Question, Row, Trial } from './question.js';
import { QUESTIONS } from './questions/all.js';
import { printRows, writeReport } from './report/report.js';

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

let current: { readonly ground: Ground; readonly end: () => void } | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    current?.end();
    void (current?.ground.clear() ?? Promise.resolve()).finally(() => process.exit(130));
  });
}

async function runTrial(question: Question, trial: Trial): Promise<Row[] | string> {
  const ground = new Ground(`cgfw-bench-${randomBytes(4).toString('hex')}`);
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'trial.js'), question.name, trial.name, mode, ground.name],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SEED: String(SEED) } },
  );
  current = { ground, end: () => child.kill('SIGKILL') };
  let stdout = '';
  let stderr = '';
  const late = new AbortController();
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setTimeout(() => {
    late.abort();
    child.kill('SIGKILL');
  }, trial.timeoutS * 1000);
  const closed = once(child, 'close');
  await once(child, 'exit');
  clearTimeout(timer);
  await ground.clear();
  // Only now: a process that the trial left behind held its pipes open.
  await closed;
  const code = child.exitCode ?? 128;
  current = null;
  if (late.signal.aborted) return `not done within ${String(trial.timeoutS)} s`;
  if (code !== 0) return stderr.trim().slice(-1500) || `exit ${String(code)}`;
  if (stderr !== '') console.log(`  ${stderr.trim().slice(0, 500)}`);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Row);
}

async function ask(question: Question): Promise<number> {
  const lines: object[] = [
    { question: question.name, mode, seed: SEED, machine: describeMachine() },
  ];
  let failed = 0;
  console.log(`\n${question.name}: ${question.asks}`);
  for (const trial of question.trials(mode)) {
    const startMs = performance.now();
    const rows = await runTrial(question, trial);
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
