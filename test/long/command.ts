// Real programs of the distribution, in the cgroups and the namespace of a stage.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Stage } from '../kernel/acceleration.js';
import { until } from '../kernel/sandbox.js';

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** SHA-256 of what went to stdout, as bytes. */
  readonly digest: string;
}

/** A shell command line as a program of a stage's cgroup. */
function start(stage: Stage, cgroup: string, line: string) {
  const command = `echo $$ > "$1/cgroup.procs" && exec nsenter --net="/run/netns/$2" sh -c "$3"`;
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const cgroupPath = join(stage.box.place.cgroupRoot, cgroup);
  return spawn('sh', ['-c', command, 'sh', cgroupPath, stage.netns.name, line], {
    env: { ...process.env, PATH: path, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs it to its end. Of stdout only the first MiB is kept as text. */
export async function run(stage: Stage, cgroup: string, line: string): Promise<Output> {
  const child = start(stage, cgroup, line);
  const hash = createHash('sha256');
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    if (stdout.length < 1 << 20) stdout += chunk.toString('latin1');
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? -1, stdout, stderr, digest: hash.digest('hex') };
}

/** A server, until close(): ended by SIGTERM, its own children are its affair. */
export class Daemon {
  readonly #child;
  #said = '';

  constructor(stage: Stage, cgroup: string, line: string) {
    this.#child = start(stage, cgroup, `exec ${line}`);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  /** Waits until this command line succeeds. */
  async answers(stage: Stage, line: string): Promise<void> {
    try {
      await until(
        `answers: ${line}`,
        async () => (await run(stage, stage.client, line)).code === 0,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${this.#said}`);
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await gone;
  }
}
