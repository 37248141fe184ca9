// The cgroups that exist, with the ids by which the kernel knows them.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../compile/state.js';

/**
 * Every cgroup below `root`, not the root itself, parents before children. A
 * cgroup's id is its inode number. What vanishes while we look is left out.
 */
export function listCgroups(root: string): Cgroup[] {
  const found: Cgroup[] = [];
  const walk = (path: string): void => {
    for (const name of childrenOf(join(root, path))) {
      const child = path === '' ? name : `${path}/${name}`;
      const id = cgroupId(join(root, child));
      if (id === null) continue;
      found.push({ id, path: child });
      walk(child);
    }
  };
  walk('');
  return found;
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
  try {
    return statSync(path).ino;
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR';
}
