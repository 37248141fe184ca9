// A place of its own on the real kernel for each test file: cgroups, pins, run
// directory and policy file, all gone at the end, whatever happened.

import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { main } from '../../src/cli/main.js';
import type { World } from '../../src/cli/world.js';
import { EventNaming } from '../../src/agent/naming.js';
import { streamEvents } from '../../src/kernel/events.js';
import { listCgroups } from '../../src/kernel/cgroups.js';
import { findPlace } from '../../src/kernel/place.js';
import type { Place } from '../../src/kernel/place.js';
import { removeAllPins } from '../../src/kernel/pins.js';
import { Puppet } from './puppet.js';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Sandbox {
  /** Name of the parent of all cgroups of this sandbox: selectors begin with it. */
  readonly name = `cgfw-test-${randomBytes(5).toString('hex')}`;
  readonly folder = mkdtempSync(join(tmpdir(), 'cgfw-test-'));
  readonly env: NodeJS.ProcessEnv;
  readonly place: Place;
  readonly #puppets: Puppet[] = [];

  /** `more` goes into the environment of every command. */
  constructor(more: NodeJS.ProcessEnv = {}) {
    this.env = {
      ...process.env,
      ...more,
      CGFW_PINS: `/sys/fs/bpf/${this.name}`,
      CGFW_RUN: join(this.folder, 'run'),
    };
    this.place = findPlace({}, this.env);
    mkdirSync(join(this.place.cgroupRoot, this.name));
  }

  get policyFile(): string {
    return join(this.folder, 'policy.yaml');
  }

  /** Makes a cgroup below the sandbox's own; returns its path as selectors name it. */
  cgroup(name: string): string {
    const path = `${this.name}/${name}`;
    mkdirSync(join(this.place.cgroupRoot, path), { recursive: true });
    return path;
  }

  /** Removes a cgroup that has no process left. */
  async removeCgroup(path: string): Promise<void> {
    await until(`cgroup ${path} can be removed`, () => {
      try {
        rmdirSync(join(this.place.cgroupRoot, path));
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
        if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
        throw error;
      }
    });
  }

  /** Replaces the policy file as an editor does: write aside, rename over. */
  write(text: string, file = this.policyFile): void {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}~`, text, { mode: 0o644 });
    renameSync(`${file}~`, file);
  }

  /** Runs a real command line in this process. */
  async cgfw(...argv: readonly string[]): Promise<Result> {
    let stdout = '';
    let stderr = '';
    const world: World = {
      stdout: (text) => void (stdout += text),
      stderr: (text) => void (stderr += text),
      env: this.env,
      uid: 0,
      isTerminal: false,
      stop: new AbortController().signal,
      onReload: () => undefined,
    };
    const code = await main(argv, world);
    return { code, stdout, stderr };
  }

  /** Applies this policy text; throws with everything that was said when it is not in force. */
  async apply(text: string): Promise<void> {
    this.write(text);
    const { code, stdout, stderr } = await this.cgfw('apply', this.policyFile);
    if (code !== 0) throw new Error(`apply: exit ${String(code)}\n${stdout}${stderr}`);
  }

  async json(...argv: readonly string[]): Promise<Record<string, unknown>> {
    const { stdout } = await this.cgfw(...argv, '--json');
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /**
   * Follows verdicts as `cgfw events` shows them, from now on. The function returned
   * ends it, after everything that happened before has been shown.
   */
  follow(onEvent: (event: Record<string, unknown>) => void): () => void {
    const naming = new EventNaming(this.place);
    naming.refresh();
    let isPast = true;
    const stream = streamEvents(this.place, (raw) => {
      if (isPast) return;
      for (const event of raw) onEvent({ ...naming.describe(event), generation: event.generation });
    });
    stream.drain();
    isPast = false;
    return () => {
      stream.drain();
      stream.close();
    };
  }

  /** A process in a cgroup of this sandbox; ended with it. */
  puppet(cgroup: string, netns?: string): Puppet {
    const puppet = Puppet.start(join(this.place.cgroupRoot, cgroup), netns);
    this.#puppets.push(puppet);
    return puppet;
  }

  async close(): Promise<void> {
    for (const puppet of this.#puppets) await puppet.close();
    removeAllPins(this.place.pinRoot);
    const own = listCgroups(this.place.cgroupRoot).filter(
      ({ path }) => path === this.name || path.startsWith(`${this.name}/`),
    );
    for (const { path } of own.reverse()) await this.removeCgroup(path);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits for a fact; fails with its name after the deadline. */
export async function until(
  fact: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${String(deadlineMs)} ms: ${fact}`);
    await delay(5);
  }
}

/** Processes in a cgroup, for tests that wait for one to be gone. */
export function processesIn(place: Place, cgroup: string): number[] {
  const file = join(place.cgroupRoot, cgroup, 'cgroup.procs');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number);
}
