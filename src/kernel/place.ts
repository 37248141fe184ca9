// Where cgfw lives on this machine; tests give themselves places of their own.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { cgroup2Mount } from './mounts.js';

export interface Place {
  /** Directory on bpffs that holds every pin of ours and nothing else. */
  readonly pinRoot: string;
  /** Mount point of the cgroup2 hierarchy; selectors are relative to it. */
  readonly cgroupRoot: string;
  /** Directory of the built BPF objects. */
  readonly objectDir: string;
  /** Lock and socket; nothing that enforcement needs. */
  readonly runDir: string;
}

export interface PlaceOptions {
  readonly cgroupRoot?: string;
}

/** The root of the package: where bpf objects and the schema are found. */
export const PACKAGE_ROOT = findPackageRoot(import.meta.dirname);

function findPackageRoot(start: string): string {
  let folder = start;
  while (!existsSync(join(folder, 'package.json')) && folder !== '/') folder = join(folder, '..');
  return folder;
}

/**
 * The place that flags, environment (CGFW_PINS, CGFW_RUN, CGFW_CGROUP_ROOT) and
 * /proc/mounts say, in this order.
 */
export function findPlace(options: PlaceOptions, env: NodeJS.ProcessEnv): Place {
  return {
    pinRoot: env['CGFW_PINS'] ?? '/sys/fs/bpf/cgfw',
    cgroupRoot: options.cgroupRoot ?? env['CGFW_CGROUP_ROOT'] ?? mountedCgroup2(),
    objectDir: join(PACKAGE_ROOT, 'build/bpf'),
    runDir: env['CGFW_RUN'] ?? '/run/cgfw',
  };
}

function mountedCgroup2(): string {
  const mount = cgroup2Mount(readFileSync('/proc/mounts', 'utf8'));
  if (mount !== null) return mount;
  throw new CgfwError('no cgroup2 hierarchy is mounted', {
    code: 'no-cgroup2',
    fix: 'mount one: mount -t cgroup2 none /sys/fs/cgroup/unified, or name one with --cgroup-root',
  });
}
