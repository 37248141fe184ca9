// One ELF file of programs and maps.

import { CgfwError } from '../../base/error.js';
import type { MapSpec } from './types.js';
import { addon, NATIVE } from './addon.js';
import type { NativeObject } from './addon.js';
import { count, loadError, refuse, take } from './errors.js';
import { BpfMap } from './map.js';
import { BpfProgram } from './program.js';

/**
 * One ELF object file: open, adjust, load once. Maps and programs taken from
 * it outlive it; close it as soon as they are taken.
 */
export class BpfObject {
  readonly path: string;
  readonly #native: NativeObject;

  constructor(path: string, native: NativeObject) {
    this.path = path;
    this.#native = native;
  }

  /** The initial value of .rodata, to be patched and given to setRodata. */
  rodata(): Uint8Array {
    return take('read .rodata', this.path, this.#native.rodata());
  }

  /** Before load: the whole of .rodata, of exactly its size. */
  setRodata(bytes: Uint8Array): void {
    count('set .rodata', this.path, this.#native.setRodata(bytes));
  }

  /** What the object declares about a map. */
  mapSpec(map: string): MapSpec {
    return take('find map', map, this.#native.spec(map));
  }

  /** Before load. */
  setMaxEntries(map: string, entries: number): void {
    count('set max_entries', map, this.#native.setMaxEntries(map, entries));
  }

  /**
   * Before load: use an existing map instead of making one. Throws `abi` when
   * type, sizes or flags differ from the declaration; set max entries before.
   */
  reuseMap(name: string, map: BpfMap): void {
    const spec = this.mapSpec(name);
    const wrong = (['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const).find(
      (field) => spec[field] !== map.info[field],
    );
    if (wrong !== undefined) {
      throw new CgfwError(
        `map ${name} has ${wrong} ${String(map.info[wrong])}, the program wants ${String(spec[wrong])}`,
        { code: 'abi', fix: 'load all programs and maps of one build together' },
      );
    }
    count('reuse map', name, this.#native.reuseMap(name, map[NATIVE]));
  }

  /** Before load: whether a program is loaded; all are unless said otherwise. */
  setAutoload(program: string, autoload: boolean): void {
    count('set autoload', program, this.#native.setAutoload(program, autoload));
  }

  /**
   * Creates the maps and loads the programs, off the main thread. Rejects with
   * code `verifier` (cause: LoadLog, the whole log) when a program is refused;
   * the object is spent then.
   */
  async load(): Promise<void> {
    const pending = this.#native.load();
    const result = await (typeof pending === 'number'
      ? refuse('load', this.path, pending)
      : pending);
    if (result !== 0) throw loadError(this.path, result);
  }

  map(name: string): BpfMap {
    return new BpfMap(take('find map', name, this.#native.map(name)));
  }

  maps(): string[] {
    return take('list maps', this.path, this.#native.maps());
  }

  program(name: string): BpfProgram {
    return new BpfProgram(take('find program', name, this.#native.program(name)));
  }

  programs(): string[] {
    return take('list programs', this.path, this.#native.programs());
  }

  close(): void {
    count('close', this.path, this.#native.close());
  }
}

/** Opens an object file; nothing reaches the kernel before load. */
export function openObject(path: string): BpfObject {
  const result = take('open', path, addon().openObject(path));
  if ('errno' in result) throw loadError(path, result);
  return new BpfObject(path, result);
}
