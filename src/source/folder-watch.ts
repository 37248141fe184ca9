// Watches the names by which files are found: the file's own, and every link on
// the way to it.
//
// chokidar watches files. Two things it does not see: a link further up that is
// swapped (`..data` of a mounted ConfigMap) while the old target stays, and a
// name that was a folder for a while. The folder that holds a name sees both.

import { lstatSync, readlinkSync, statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** More links than the kernel follows are a cycle. */
const MAX_LINKS = 40;

/** What happened to a name: it leads to another whole file, or something is being written. */
export type Change = 'replaced' | 'written';

/** A name in a folder. */
export interface Place {
  readonly folder: string;
  readonly name: string;
}

/**
 * The names whose change can change what `file` (absolute) leads to: its own,
 * that of its folder, and those of all links on the way. Where the way ends early,
 * the name that is missing. Folders that do not exist are left out.
 */
export function placesOf(file: string): Place[] {
  const places: Place[] = [];
  let links = 0;
  const note = (path: string): void =>
    void places.push({ folder: dirname(path), name: basename(path) });
  const walk = (path: string): string => {
    if (path === '/') return path;
    const here = join(walk(dirname(path)), basename(path));
    const stats = lstatSync(here, { throwIfNoEntry: false });
    if (stats?.isSymbolicLink() !== true) {
      if (stats === undefined) note(here);
      return here;
    }
    note(here);
    return ++links > MAX_LINKS ? here : walk(resolve(dirname(here), readlinkSync(here)));
  };
  const end = walk(file);
  note(end);
  note(dirname(end));
  return places.filter(({ folder, name }) => name !== '' && isFolder(folder));
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** A file that was just created has nothing in it yet. */
function holdsSomething(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

interface Watched {
  readonly inode: number;
  readonly watcher: FSWatcher;
  names: Set<string>;
}

/** Calls `onChange` when one of the names it was given changes. */
export class FolderWatch {
  readonly #onChange: (change: Change) => void;
  readonly #onError: (error: unknown) => void;
  readonly #folders = new Map<string, Watched>();

  constructor(onChange: (change: Change) => void, onError: (error: unknown) => void) {
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** From now on exactly these; 'grown' when one was not watched before: look once more. */
  set(places: readonly Place[]): 'grown' | 'same' {
    const wanted = new Map<string, Set<string>>();
    for (const { folder, name } of places)
      wanted.set(folder, (wanted.get(folder) ?? new Set()).add(name));
    for (const folder of this.#folders.keys()) if (!wanted.has(folder)) this.#drop(folder);
    let grown = false;
    for (const [folder, names] of wanted) grown = this.#add(folder, names) || grown;
    return grown ? 'grown' : 'same';
  }

  #add(folder: string, names: Set<string>): boolean {
    const inode = statSync(folder, { throwIfNoEntry: false })?.ino;
    const known = this.#folders.get(folder);
    if (known !== undefined && known.inode === inode) {
      const hasNew = [...names].some((name) => !known.names.has(name));
      known.names = names;
      return hasNew;
    }
    this.#drop(folder);
    if (inode === undefined) return false;
    try {
      const watcher = watch(folder, (event, name) => this.#changed(folder, event, name));
      watcher.on('error', () => this.#drop(folder));
      this.#folders.set(folder, { inode, watcher, names });
      return true;
    } catch (error) {
      this.#onError(error);
      return false;
    }
  }

  /** A folder that is removed or moved tells its own name. */
  #changed(folder: string, event: 'rename' | 'change', name: string | null): void {
    const names = this.#folders.get(folder)?.names;
    if (name !== null && name !== basename(folder) && names?.has(name) !== true) return;
    const isWhole = event === 'rename' && name !== null && holdsSomething(join(folder, name));
    this.#onChange(isWhole ? 'replaced' : 'written');
  }

  #drop(folder: string): void {
    this.#folders.get(folder)?.watcher.close();
    this.#folders.delete(folder);
  }

  close(): void {
    for (const folder of [...this.#folders.keys()]) this.#drop(folder);
  }
}
