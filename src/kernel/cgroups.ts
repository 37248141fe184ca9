// The cgroups that exist, with the ids by which the kernel knows them.

import { readdirSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../compile/state.js';

/**
 * Every cgroup below `root`, not the root itself, parents before children. A
 * cgroup's id is its inode number. What vanishes while we look is left out.
 */
export function listCgroups(root: string): Cgroup[] {
  return [...walkCgroups(root)];
}

/** As listCgroups, one by one, for those who have to let others work in between. */
export function* walkCgroups(root: string, path = ''): Generator<Cgroup> {
  for (const name of childrenOf(join(root, path))) {
    const child = path === '' ? name : `${path}/${name}`;
    const id = cgroupId(join(root, child));
    if (id === null) continue;
    yield { id, path: child };
    // Two links, and one for each child: most have none, and to read them costs most of a walk.
    // Asked now: whoever was given the cgroup may have begun to watch it only then.
    const links = statCgroup(join(root, child))?.nlink ?? 0;
    if (links > 2) yield* walkCgroups(root, child);
  }
}

function childrenOf(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Id of the cgroup at an absolute path, or null when there is none. */
export function cgroupId(path: string): number | null {
  return statCgroup(path)?.ino ?? null;
}

function statCgroup(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR';
}
