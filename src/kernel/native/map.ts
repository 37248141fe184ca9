// Maps: by key, in batches, and through their memory.

import { MAP_TYPES } from './types.js';
import type { LookupBatch, MapInfo, MapType } from './types.js';
import { addon, NATIVE } from './addon.js';
import type { NativeMap } from './addon.js';
import { count, ENOTSUPP, ERRNO, refuse, take } from './errors.js';

/**
 * A map by its own descriptor. Keys and values must have exactly the size in
 * `info`; a value of a per-CPU map is all CPUs' values one after the other,
 * each rounded up to 8 bytes.
 */
export class BpfMap {
  readonly info: MapInfo;
  readonly #native: NativeMap;

  constructor(native: NativeMap) {
    this.#native = native;
    this.info = native.info();
  }

  get [NATIVE](): NativeMap {
    return this.#native;
  }

  /** The descriptor, as the value for a map of maps; valid until close. */
  get fd(): number {
    return count('use', this.info.name, this.#native.descriptor());
  }

  /** null: no such key. */
  lookup(key: Uint8Array, flags = 0): Uint8Array | null {
    const value = this.#native.lookup(key, flags);
    return typeof value === 'number' ? refuse('look up in', this.info.name, value) : value;
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    count('update', this.info.name, this.#native.update(key, value, flags));
  }

  /** False: no such key. */
  delete(key: Uint8Array): boolean {
    const result = this.#native.delete(key);
    if (result === -ERRNO.ENOENT) return false;
    count('delete from', this.info.name, result);
    return true;
  }

  /** The key after this one (null: the first key); null: no more. */
  nextKey(key: Uint8Array | null): Uint8Array | null {
    const next = this.#native.nextKey(key);
    return typeof next === 'number' ? refuse('iterate', this.info.name, next) : next;
  }

  *keys(): Generator<Uint8Array, void, undefined> {
    for (let key = this.nextKey(null); key !== null; key = this.nextKey(key)) yield key;
  }

  /**
   * Up to `limit` entries from a cursor (null: the beginning). Throws
   * `unsupported` for map types without batches; entries() goes round that.
   */
  lookupBatch(cursor: Uint8Array | null, limit: number): LookupBatch {
    return take('read batch of', this.info.name, this.#native.lookupBatch(cursor, limit));
  }

  /** All entries, read in batches where the map type has them. No snapshot. */
  *entries(): Generator<[key: Uint8Array, value: Uint8Array], void, undefined> {
    let limit = 1024;
    let cursor: Uint8Array | null = null;
    for (;;) {
      const batch: LookupBatch | number = this.#native.lookupBatch(cursor, limit);
      // ENOSPC: one bucket of a hash holds more entries than the limit.
      if (batch === -ERRNO.ENOSPC && limit < 1 << 20) {
        limit *= 4;
        continue;
      }
      if (typeof batch === 'number') {
        if (cursor === null && lacksBatches(batch)) {
          yield* this.#entriesSingly();
          return;
        }
        refuse('read batch of', this.info.name, batch);
      }
      const valueSize = batch.values.length / batch.count;
      for (let i = 0; i < batch.count; i++) {
        const { keySize } = this.info;
        yield [
          batch.keys.subarray(i * keySize, (i + 1) * keySize),
          batch.values.subarray(i * valueSize, (i + 1) * valueSize),
        ];
      }
      if (batch.cursor === null) return;
      cursor = batch.cursor;
    }
  }

  *#entriesSingly(): Generator<[key: Uint8Array, value: Uint8Array], void, undefined> {
    for (const key of this.keys()) {
      const value = this.lookup(key);
      if (value !== null) yield [key, value];
    }
  }

  /** Writes `entries` entries; keys and values back to back. Not atomic. */
  updateBatch(keys: Uint8Array, values: Uint8Array, entries: number): void {
    const result = this.#native.updateBatch(keys, values, entries);
    if (!lacksBatches(result) || !this.#isWhole(keys, entries)) {
      count('update batch of', this.info.name, result);
      return;
    }
    const valueSize = values.length / entries;
    for (let i = 0; i < entries; i++) {
      this.update(this.#keyAt(keys, i), values.subarray(i * valueSize, (i + 1) * valueSize));
    }
  }

  /** Deletes `entries` keys, back to back. Throws ENOENT at the first that is absent. */
  deleteBatch(keys: Uint8Array, entries: number): void {
    const result = this.#native.deleteBatch(keys, entries);
    if (!lacksBatches(result) || !this.#isWhole(keys, entries)) {
      count('delete batch from', this.info.name, result);
      return;
    }
    for (let i = 0; i < entries; i++) {
      if (!this.delete(this.#keyAt(keys, i)))
        refuse('delete batch from', this.info.name, -ERRNO.ENOENT);
    }
  }

  #keyAt(keys: Uint8Array, i: number): Uint8Array {
    return keys.subarray(i * this.info.keySize, (i + 1) * this.info.keySize);
  }

  // EINVAL also means wrong sizes: those must not start a fallback.
  #isWhole(keys: Uint8Array, entries: number): boolean {
    return entries > 0 && keys.length === entries * this.info.keySize;
  }

  /**
   * The sums over all CPUs of the 64-bit words in `length` elements of a
   * per-CPU array from `first` on: valueSize / 8 words an element.
   */
  sumPerCpu(first: number, length: number): BigUint64Array {
    const sums = this.#native.sumPerCpu(first, length, true);
    if (typeof sums !== 'number') return sums;
    if (!lacksBatches(sums)) refuse('sum', this.info.name, sums);
    return take('sum', this.info.name, this.#native.sumPerCpu(first, length, false));
  }

  pin(path: string): void {
    count('pin map', path, this.#native.pin(path));
  }

  /** A copy of bytes of a memory-mapped array (elements rounded up to 8 bytes). */
  read(offset: number, length: number): Uint8Array {
    return take('read', this.info.name, this.#native.read(offset, length));
  }

  /** Copies bytes into a memory-mapped array; programs may see them half written. */
  write(offset: number, bytes: Uint8Array): void {
    count('write', this.info.name, this.#native.write(offset, bytes));
  }

  /** Whether a memory-mapped array holds these bytes there; nothing is copied. */
  equals(offset: number, bytes: Uint8Array): boolean {
    return take('compare', this.info.name, this.#native.equals(offset, bytes));
  }

  /** One aligned 64-bit word of a memory-mapped array, with acquire order. */
  loadWord(offset: number): bigint {
    return take('load word of', this.info.name, this.#native.loadWord(offset));
  }

  /** Stores one aligned 64-bit word; all writes before it are visible with it. */
  storeWord(offset: number, value: bigint): void {
    count('store word in', this.info.name, this.#native.storeWord(offset, value));
  }

  close(): void {
    this.#native.close();
  }
}

const lacksBatches = (result: number): boolean =>
  result === -ENOTSUPP || result === -ERRNO.EOPNOTSUPP || result === -ERRNO.EINVAL;

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedMap(path: string): BpfMap {
  return new BpfMap(take('open pinned map', path, addon().openPinnedMap(path)));
}

/** A map without an object file. `name` has at most 15 characters. */
export function createMap(
  type: MapType,
  spec: Pick<MapInfo, 'keySize' | 'valueSize' | 'maxEntries'> &
    Partial<Pick<MapInfo, 'flags' | 'name'>>,
): BpfMap {
  const { keySize, valueSize, maxEntries, flags = 0, name = '' } = spec;
  const native = addon().createMap(MAP_TYPES[type], keySize, valueSize, maxEntries, flags, name);
  return new BpfMap(take('create map', name, native));
}
