// Says when cgroups have appeared or vanished: one watch for each directory.

import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../compile/state.js';
import { walkCgroups } from './cgroups.js';
import { nextTurn } from './turn.js';

/** Watching two thousand cgroups takes longer than the event loop may stand still. */
const SLICE_MS = 8;
/** Where cgroups come and go all the time, looking takes a fifth of a CPU, if they are not too many. */
const PAUSES = 4;
const LONGEST_PAUSE_MS = 250;

export interface CgroupWatch {
  /**
   * Looks at the whole tree and watches what is new: at the beginning, when nothing
   * is watched yet, and at each periodic resync.
   */
  rescan(): Promise<void>;
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
  let scans = Promise.resolve();
  let pause: NodeJS.Timeout | undefined;
  let nextMs = 0;

  const add = ({ id, path }: Cgroup): void => {
    if (watchers.get(path)?.id === id) return;
    drop(path);
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
  const scan = async (): Promise<void> => {
    unwatched = 0;
    add({ id: 0, path: '' });
    const present = new Set(['']);
    const startMs = performance.now();
    let endMs = startMs + SLICE_MS;
    // A directory is watched before its children are looked for.
    for (const cgroup of walkCgroups(root)) {
      present.add(cgroup.path);
      add(cgroup);
      if (performance.now() < endMs) continue;
      await nextTurn();
      // A scan now would watch everything anew, and nobody would end that.
      if (isClosed) return;
      endMs = performance.now() + SLICE_MS;
    }
    for (const path of watchers.keys()) if (!present.has(path)) drop(path);
    const nowMs = performance.now();
    nextMs = nowMs + Math.min(PAUSES * (nowMs - startMs), LONGEST_PAUSE_MS);
  };
  // One at a time: what one has just found, another that began before must not drop.
  const rescan = (): Promise<void> => (scans = scans.then(() => (isClosed ? undefined : scan())));
  const schedule = (): void => {
    if (isScanDue) return;
    isScanDue = true;
    pause = setTimeout(
      () => {
        isScanDue = false;
        void rescan().then(() => (isClosed ? undefined : onChange()));
      },
      Math.max(0, nextMs - performance.now()),
    );
  };
  return {
    rescan,
    get unwatched() {
      return unwatched;
    },
    close: () => {
      isClosed = true;
      clearTimeout(pause);
      for (const path of [...watchers.keys()]) drop(path);
    },
  };
}
