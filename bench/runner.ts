// Runs one trial at a time, each in a process group and on ground of its own. Whoever
// interrupts us ends the whole group at once and clears the ground before we go.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { SEED } from './lib/data.js';
import { Ground } from './lib/ground.js';
import { until } from './lib/wait.js';
import type { Mode, Question, Row, Trial } from './question.js';

/** A system call that cannot be interrupted, such as the commit of a large ruleset, may take a while. */
const END_MS = 2000;

export class Runner {
  readonly #mode: Mode;
  #current: { readonly ground: Ground; readonly group: number } | null = null;
  #isInterrupted = false;

  constructor(mode: Mode) {
    this.#mode = mode;
  }

  /** Its rows, or why there are none. After an interrupt it never returns. */
  async run(question: Question, trial: Trial): Promise<Row[] | string> {
    await this.#stayIfInterrupted();
    const ground = new Ground(`cgfw-bench-${randomBytes(4).toString('hex')}`);
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'trial.js'), question.name, trial.name, this.#mode, ground.name],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, SEED: String(SEED) },
        detached: true,
      },
    );
    const group = child.pid ?? 0;
    this.#current = { ground, group };
    let stdout = '';
    let stderr = '';
    const late = new AbortController();
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const timer = setTimeout(() => {
      late.abort();
      endGroup(group);
    }, trial.timeoutS * 1000);
    const closed = once(child, 'close');
    await once(child, 'exit');
    clearTimeout(timer);
    // Whatever the trial left behind goes with it: it would hold our pipes open.
    endGroup(group);
    await this.#stayIfInterrupted();
    await ground.clear();
    await closed;
    this.#current = null;
    const code = child.exitCode ?? 128;
    if (late.signal.aborted) return `not done within ${String(trial.timeoutS)} s`;
    if (code !== 0) return stderr.trim().slice(-1500) || `exit ${String(code)}`;
    if (stderr !== '') console.log(`  ${stderr.trim().slice(0, 500)}`);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Row);
  }

  /** Whoever interrupts clears up, and nothing else may begin meanwhile. */
  async #stayIfInterrupted(): Promise<void> {
    if (this.#isInterrupted) await new Promise(() => undefined);
  }

  /** Ends the trial that runs and removes all that it made. A second call changes nothing. */
  async interrupt(): Promise<void> {
    if (this.#isInterrupted) return new Promise(() => undefined);
    this.#isInterrupted = true;
    if (this.#current === null) return;
    const { ground, group } = this.#current;
    endGroup(group);
    await until('the processes of the trial are gone', () => !isThere(group), END_MS, 10).catch(
      (error: unknown) => {
        console.error(`bench: ${String(error)}`);
      },
    );
    await ground.clear();
  }
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function isThere(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}
