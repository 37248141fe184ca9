// Where a trial works: cgroups, network namespaces, pins and files of its own,
// all under one name, so that whoever knows the name can clear it away.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { listCgroups } from '../../src/kernel/cgroups.js';
import { removeAllPins } from '../../src/kernel/pins.js';
import { findPlace } from '../../src/kernel/place.js';
import type { Place } from '../../src/kernel/place.js';
import { must, run } from './run.js';

export class Ground {
  /** Begins the name of everything that this trial makes. */
  readonly name: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly place: Place;

  constructor(name: string) {
    this.name = name;
    this.folder = join(tmpdir(), name);
    this.env = { CGFW_PINS: `/sys/fs/bpf/${name}`, CGFW_RUN: join(this.folder, 'run') };
    this.place = findPlace({}, { ...process.env, ...this.env });
  }

  open(): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 });
    mkdirSync(join(this.place.cgroupRoot, this.name), { recursive: true });
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** Makes a cgroup; its path as selectors write it. */
  cgroup(name: string): string {
    const path = `${this.name}/${name}`;
    mkdirSync(this.directory(path), { recursive: true });
    return path;
  }

  /** Absolute path of a cgroup. */
  directory(path: string): string {
    return join(this.place.cgroupRoot, path);
  }

  /** A network namespace in which every address is local; nothing leaves it. */
  async netns(name: string): Promise<string> {
    const full = `${this.name}-${name}`;
    await must(['ip', 'netns', 'add', full]);
    await must(['ip', '-n', full, 'link', 'set', 'lo', 'up']);
    await must(['ip', '-n', full, 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo']);
    return full;
  }

  /** Removes everything under the name, also after a trial that was killed. */
  async clear(): Promise<void> {
    const cgroups = listCgroups(this.place.cgroupRoot)
      .map(({ path }) => path)
      .filter((path) => path === this.name || path.startsWith(`${this.name}/`))
      .reverse();
    for (const path of cgroups) await this.emptyCgroup(path);
    removeAllPins(this.place.pinRoot);
    for (const netns of existsSync('/run/netns') ? readdirSync('/run/netns') : []) {
      if (netns.startsWith(`${this.name}-`))
        await run(['ip', 'netns', 'del', netns], { ownGroup: true });
    }
    for (const path of cgroups) await this.removeCgroup(path);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Ends what is left in a cgroup of ours: only our own processes can be there. */
  async emptyCgroup(path: string): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const pids = readFileSync(join(this.directory(path), 'cgroup.procs'), 'utf8')
        .split('\n')
        .filter(Boolean);
      if (pids.length === 0) return;
      for (const pid of pids) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended by itself.
        }
      }
      await delay(10);
    }
  }

  async removeCgroup(path: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        rmdirSync(this.directory(path));
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        if (attempt === 200) throw error;
        await delay(10);
      }
    }
  }
}
