// Programs of others that keep ours from being attached.

import { dirname, join } from 'node:path';
import { HOOKS } from '../compile/state.js';
import { ATTACH_TYPE } from './load.js';
import { programInfo, queryCgroup } from './native.js';
import type { Place } from './place.js';

export interface Conflict {
  /** The cgroup, relative to the mount, that holds the program; '' is the root. */
  readonly cgroup: string;
  readonly hook: string;
  readonly programId: number;
  readonly programName: string;
}

/**
 * The first exclusive program (attached with flags 0) on a cgroup or an
 * ancestor: with it there, the kernel refuses any further program with EPERM.
 */
export function findConflict(place: Place, cgroup: string): Conflict | null {
  for (const ancestor of chainOf(cgroup)) {
    for (const hook of HOOKS) {
      const found = queryCgroup(join(place.cgroupRoot, ancestor), ATTACH_TYPE[hook], 'direct');
      const [program] = found.programs;
      if (program === undefined || found.attachFlags !== 0) continue;
      const programName = programInfo(program.id)?.name ?? '?';
      return { cgroup: ancestor, hook, programId: program.id, programName };
    }
  }
  return null;
}

/** The cgroup, then its ancestors up to the root, written ''. */
export function chainOf(cgroup: string): string[] {
  const chain = [cgroup];
  let path = cgroup;
  while (path !== '') {
    const parent = dirname(path);
    path = parent === '.' ? '' : parent;
    chain.push(path);
  }
  return chain;
}
