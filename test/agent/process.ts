// Real cgfw processes of a sandbox, and the log lines that they write.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { until } from '../kernel/sandbox.js';
import type { Result, Sandbox } from '../kernel/sandbox.js';

/**
 * The command as users run it, and its arguments up to the verb. It is
 * started through env: the test runner puts itself into every Node that we spawn.
 */
export const ENV = '/usr/bin/env';
export const CGFW = [
  '-u',
  'NODE_OPTIONS',
  process.execPath,
  join(PACKAGE_ROOT, 'bin/cgfw.js'),
] as const;

export type LogLine = Readonly<Record<string, unknown>> & {
  readonly msg: string;
  readonly level: number;
};

export const WARN = 40;
export const ERROR = 50;

/** A running `cgfw run`; its log is kept line by line. */
export class AgentProcess {
  readonly lines: LogLine[] = [];
  readonly stderr: string[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) =>
        this.lines.push(JSON.parse(line) as LogLine),
      );
    }
    child.stderr?.on('data', (chunk: Buffer) => this.stderr.push(chunk.toString()));
  }

  /** Starts an agent on the sandbox's policy file, and does not wait. */
  static spawn(box: Sandbox, ...options: readonly string[]): AgentProcess {
    const argv = [...CGFW, 'run', box.policyFile, '--json', ...options];
    return new AgentProcess(spawn(ENV, argv, { env: box.env, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /** As spawn, and waits until the agent has looked once. */
  static async start(box: Sandbox, ...options: readonly string[]): Promise<AgentProcess> {
    const agent = AgentProcess.spawn(box, ...options);
    await agent.says('agent started');
    return agent;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Lines of at least this level. */
  loud(level = ERROR): LogLine[] {
    return this.lines.filter((line) => line.level >= level);
  }

  count(part: string): number {
    return this.lines.filter(({ msg }) => msg.includes(part)).length;
  }

  /** Waits for a line from number `from` on; throws with the whole log when it does not come. */
  async says(part: string, from = 0): Promise<LogLine> {
    const find = (): LogLine | undefined =>
      this.lines.slice(from).find(({ msg }) => msg.includes(part));
    try {
      await until(`the agent says: ${part}`, () => find() !== undefined || !this.isRunning);
    } catch (error) {
      throw new Error(`${String(error)}\n${this.story()}`);
    }
    const line = find();
    if (line === undefined)
      throw new Error(`the agent ended without saying: ${part}\n${this.story()}`);
    return line;
  }

  story(): string {
    return [...this.lines.map((line) => JSON.stringify(line)), ...this.stderr].join('\n');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Ends the process and waits for its end; its exit code, or the signal's name. */
  async end(name: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.#child.kill(name);
    try {
      await until(`the agent ends on ${name}`, () => !this.isRunning);
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw new Error(`${String(error)}\n${this.story()}`);
    }
    return this.#child.exitCode ?? this.#child.signalCode ?? -1;
  }
}

export interface SpawnOptions {
  readonly uid?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
}

/** Runs a command line as a process of its own, to its end. */
export async function runProcess(
  box: Sandbox,
  argv: readonly string[],
  options: SpawnOptions = {},
): Promise<Result> {
  const uid = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
  const child = spawn(ENV, [...CGFW, ...argv], { env: { ...box.env, ...options.env }, ...uid });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(options.stdin ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code: code ?? -1, stdout, stderr: signal === null ? stderr : `${stderr}${signal}` };
}
