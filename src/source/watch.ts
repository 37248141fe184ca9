// Says when a policy file, or a set file it names, may have changed.

import { watch } from 'chokidar';
import { FolderWatch, placesOf } from './folder-watch.js';
import type { Change } from './folder-watch.js';

/** Writers pause between writes of one change; this long a pause means they are done. */
export const WRITTEN_MS = 40;
/** What was renamed over a file is whole; others may follow that belong to it. */
export const REPLACED_MS = 10;
/** A file that never settles is read anyway. */
const PATIENCE_MS = 1000;

export interface FileWatch {
  /** Watches exactly these files from now on. */
  setFiles(files: readonly string[]): void;
  close(): Promise<void>;
}

/**
 * Calls `onSettled` once after a burst of changes to any of the files: renames
 * over them, writes in place, symlink swaps, deletion and return. It says that
 * something happened, never what; the reader finds out. `onError` gets what the
 * watcher cannot do; the watcher itself lives on.
 */
export function watchFiles(onSettled: () => void, onError: (error: unknown) => void): FileWatch {
  const watcher = watch([], { ignoreInitial: true, atomic: false });
  const watched = new Set<string>();
  let settle: NodeJS.Timeout | undefined;
  let firstChangeMs: number | undefined;
  const burst = new Set<Change>();

  const changed = (): void => {
    const nowMs = performance.now();
    firstChangeMs ??= nowMs;
    clearTimeout(settle);
    const pauseMs = burst.has('replaced') && !burst.has('written') ? REPLACED_MS : WRITTEN_MS;
    const waitMs = Math.min(pauseMs, Math.max(0, firstChangeMs + PATIENCE_MS - nowMs));
    settle = setTimeout(() => {
      firstChangeMs = undefined;
      burst.clear();
      onSettled();
    }, waitMs);
  };
  // chokidar cannot tell a file that was replaced from one that is being written.
  watcher.on('all', changed);
  watcher.on('error', onError);
  const folders = new FolderWatch((change) => {
    burst.add(change);
    changed();
  }, onError);

  return {
    setFiles: (files) => {
      const wanted = new Set(files);
      const added = files.filter((file) => !watched.has(file));
      const removed = [...watched].filter((file) => !wanted.has(file));
      if (added.length > 0) watcher.add(added);
      if (removed.length > 0) watcher.unwatch(removed);
      for (const file of added) watched.add(file);
      for (const file of removed) watched.delete(file);
      // What happened before there was a watch, nobody told us.
      if (folders.set(files.flatMap(placesOf)) === 'grown') changed();
    },
    close: async () => {
      clearTimeout(settle);
      folders.close();
      await watcher.close();
    },
  };
}
