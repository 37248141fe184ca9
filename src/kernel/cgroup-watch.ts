// Says when cgroups have appeared or vanished: one watch for each directory.

import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../compile/state.js';
import { listCgroups } from './cgroups.js';

export interface CgroupWatch {
  /** Looks at the whole tree and watches what is new; the periodic resync calls it too. */
  rescan(): void;
  /** Directories that the kernel refused to watch (inotify limits); 0 when all is seen at once. */
  readonly unwatched: number;
  close(): void;
}

/**
 * Calls `onChange` when a directory appears or goes anywhere below `root`. A new
 * directory may have children before its watch exists, so each event leads to a
 * scan of the tree.
 */
export function watchCgroups(root: string, onChange: () => void): CgroupWatch {
  // A directory made anew under the same path has another id and needs a new watch.
  const watchers = new Map<string, { readonly id: number; readonly watcher: FSWatcher }>();
  let unwatched = 0;
  let isScanDue = false;
  let isClosed = false;

  const add = ({ id, path }: Cgroup): void => {
    if (watchers.has(path)) return;
    try {
      const watcher = watch(join(root, path), (event) => {
        if (event === 'rename') schedule();
      });
      watcher.on('error', () => drop(path));
      watchers.set(path, { id, watcher });
    } catch {
      // Gone already, or out of watches: the resync finds what we miss.
      unwatched++;
    }
  };
  const drop = (path: string): void => {
    watchers.get(path)?.watcher.close();
    watchers.delete(path);
  };
  const rescan = (): void => {
    unwatched = 0;
    const present = [{ id: 0, path: '' }, ...listCgroups(root)];
    const ids = new Map(present.map(({ id, path }) => [path, id]));
    for (const [path, { id }] of watchers) if (ids.get(path) !== id) drop(path);
    for (const cgroup of present) add(cgroup);
  };
  const schedule = (): void => {
    if (isScanDue) return;
    isScanDue = true;
    setImmediate(() => {
      isScanDue = false;
      // A scan now would watch everything anew, and nobody would end that.
      if (isClosed) return;
      rescan();
      onChange();
    });
  };
  rescan();
  return {
    rescan,
    get unwatched() {
      return unwatched;
    },
    close: () => {
      isClosed = true;
      for (const path of [...watchers.keys()]) drop(path);
    },
  };
}
