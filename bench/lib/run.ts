// Running commands: in a cgroup, in a network namespace, with their cost.

import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';

/** Root's PATH may lack the directories where nft and ip live. */
export const PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;

export const BUILT = join(PACKAGE_ROOT, 'build/bench');

export interface Where {
  /** Absolute path of a cgroup's directory. */
  readonly cgroup?: string;
  /** Name of a network namespace. */
  readonly netns?: string;
  readonly cpu?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** In a process group of its own: what a terminal interrupts does not reach it. */
  readonly ownGroup?: true;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From start to end, the start of the process included. */
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMb: number;
}

function launchArguments(where: Where): string[] {
  return [
    ...(where.cgroup === undefined ? [] : ['-c', where.cgroup]),
    ...(where.netns === undefined ? [] : ['-n', where.netns]),
    ...(where.cpu === undefined ? [] : ['-p', String(where.cpu)]),
  ];
}

function environment(where: Where): NodeJS.ProcessEnv {
  return { ...process.env, ...where.env, PATH };
}

/** Runs a command to its end, whatever its exit code. `input` goes to its stdin. */
export async function run(argv: readonly string[], where: Where = {}): Promise<Finished> {
  const child = spawn(join(BUILT, 'launch'), [...launchArguments(where), ...argv], {
    env: environment(where),
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: where.ownGroup ?? false,
  });
  const [stdout, stderr, cost] = [1, 2, 3].map((fd) => collect(child, fd));
  await once(child, 'close');
  const {
    wallMs = NaN,
    cpuMs = NaN,
    peakMb = NaN,
  } = JSON.parse(cost?.join('') || '{}') as Partial<Finished>;
  const text = (chunks: readonly string[] | undefined): string => chunks?.join('') ?? '';
  return {
    code: child.exitCode ?? 128,
    stdout: text(stdout),
    stderr: text(stderr),
    wallMs,
    cpuMs,
    peakMb,
  };
}

function collect(child: ChildProcess, fd: number): string[] {
  const chunks: string[] = [];
  const stream = child.stdio[fd];
  if (stream !== null && stream !== undefined && 'setEncoding' in stream) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => chunks.push(chunk));
  }
  return chunks;
}

/** As run; throws with all that was said when the command fails. */
export async function must(argv: readonly string[], where: Where = {}): Promise<Finished> {
  const finished = await run(argv, where);
  if (finished.code === 0) return finished;
  const said = `${finished.stdout}${finished.stderr}`.slice(0, 2000);
  throw new Error(`${argv.slice(0, 6).join(' ')}: exit ${String(finished.code)}\n${said}`);
}

/** A process that stays; end it with endOf. */
export function start(
  argv: readonly string[],
  where: Where,
  stdio: SpawnOptions['stdio'],
): ChildProcess {
  return spawn(join(BUILT, 'launch'), [...launchArguments(where), ...argv], {
    env: environment(where),
    stdio,
  });
}

/** How long a process may take to end after it was asked to. */
const PATIENCE_MS = 10_000;

/** Asks the process to end, and waits for it; one that does not is ended. */
export async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => {
    console.error(`bench: ${child.spawnargs.slice(-6).join(' ')} did not end when it was asked to`);
    child.kill('SIGKILL');
  }, PATIENCE_MS);
  await closed;
  clearTimeout(timer);
}
