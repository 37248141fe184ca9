// cgfw as its users run it: as a command of its own process.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { openPinnedMap } from '../../src/kernel/native.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import type { Ground } from './ground.js';
import { endOf, must, run, start } from './run.js';
import type { Finished } from './run.js';
import { until } from './wait.js';

const MAIN = join(PACKAGE_ROOT, 'bin/cgfw.js');

/** A policy file; JSON is YAML too, and without layout ten thousand rules stay below its limits. */
export function policyText(policies: readonly object[], more: object = {}): string {
  return JSON.stringify({ version: 1, ...more, policies });
}

/** Replaces a file as editors do: written aside, renamed over. */
export function replace(file: string, content: string | Uint8Array): void {
  writeFileSync(`${file}.new`, content, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

export function cgfw(ground: Ground, ...argv: readonly string[]): Promise<Finished> {
  return run([process.execPath, MAIN, ...argv], { env: ground.env });
}

/** Puts a policy into force; throws when it is not. */
export async function apply(ground: Ground, text: string): Promise<Finished> {
  const file = ground.file('policy.yaml');
  replace(file, text);
  return must([process.execPath, MAIN, 'apply', file], { env: ground.env });
}

/** A running `cgfw run`. */
export class RunningAgent {
  readonly #child: ChildProcess;
  readonly #ground: Ground;
  /** Of node itself, not of its launcher. */
  readonly pid: number;

  private constructor(ground: Ground, child: ChildProcess, pid: number) {
    this.#ground = ground;
    this.#child = child;
    this.pid = pid;
  }

  /** Starts the agent and waits until a generation after `generation` is in force. */
  static async start(
    ground: Ground,
    file: string,
    generation = 0,
    env: NodeJS.ProcessEnv = {},
  ): Promise<RunningAgent> {
    const cgroup = ground.directory(ground.cgroup('agent'));
    const child = start(
      [process.execPath, MAIN, 'run', file, '--log-level', 'warn'],
      { cgroup, env: { ...ground.env, ...env } },
      ['ignore', 'ignore', 'inherit'],
    );
    await until(
      'the agent has put the policy into force',
      () => generationOf(ground) > generation,
      60_000,
    );
    const pid = (): number =>
      Number(readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n')[0]);
    await until('the agent runs', () => pid() > 0, 10_000);
    return new RunningAgent(ground, child, pid());
  }

  /** Runs `change` and gives the time until another generation is in force, in ms. */
  async timeToEnforced(change: () => void, deadlineMs = 60_000): Promise<number> {
    const before = generationOf(this.#ground);
    change();
    const startMs = performance.now();
    await until(
      'the change is in force',
      () => generationOf(this.#ground) > before,
      deadlineMs,
      0.5,
    );
    return performance.now() - startMs;
  }

  async close(): Promise<void> {
    await endOf(this.#child);
  }
}

let control: ReturnType<typeof openPinnedMap> | null = null;

/** The generation in force, read from the kernel; 0 = none. */
export function generationOf(ground: Ground): number {
  try {
    control ??= openPinnedMap(join(ground.place.pinRoot, 'shared/control'));
  } catch {
    return 0;
  }
  return Number(control.loadWord(0));
}
