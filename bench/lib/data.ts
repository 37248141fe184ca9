// Generated files, made once for each seed and size and kept in build/bench/data.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { linesOf4, outside4, prefixes4 } from '../generate.js';
import type { Prefixes4 } from '../generate.js';
import { BUILT } from './run.js';

/** Printed with the results; SEED in the environment chooses another. */
export const SEED = Number(process.env['SEED'] ?? '20261');

const lists = new Map<string, Prefixes4>();

/** The list of this size; `version` 2 is another one altogether. */
export function listOf(size: number, version = 1): Prefixes4 {
  const key = `${String(size)}-${String(version)}`;
  const list = lists.get(key) ?? readList(size, version);
  lists.set(key, list);
  return list;
}

/** From a file of first addresses, then lengths: generating a million takes seconds. */
function readList(size: number, version: number): Prefixes4 {
  const file = dataFile(`${String(size)}-${String(version)}.list`, () => {
    const { first, length } = prefixes4(SEED + version, size);
    return Buffer.concat([new Uint8Array(first.buffer), length]);
  });
  const bytes = new Uint8Array(readFileSync(file));
  return { first: new Uint32Array(bytes.buffer.slice(0, size * 4)), length: bytes.slice(size * 4) };
}

/** The path of a file with these bytes; made when it is not there. */
export function dataFile(name: string, make: () => string | Uint8Array): string {
  const folder = join(BUILT, 'data');
  const file = join(folder, `${String(SEED)}-${name}`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.new`, make(), { mode: 0o644 });
  renameSync(`${file}.new`, file);
  return file;
}

/** One prefix a line, as cgfw reads it. */
export function netsetFile(size: number, version = 1): string {
  return dataFile(
    `${String(size)}-${String(version)}.netset`,
    () => `${linesOf4(listOf(size, version)).join('\n')}\n`,
  );
}

/** Addresses in network order that a list lets pass, for the traffic program. */
export function destinationsFile(size: number, wanted: number): string {
  return dataFile(`${String(size)}-${String(wanted)}.destinations`, () =>
    networkOrder(outside4(SEED, listOf(size), wanted)),
  );
}

export function networkOrder(addresses: Uint32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(addresses.length * 4));
  addresses.forEach((address, i) => view.setUint32(i * 4, address));
  return new Uint8Array(view.buffer);
}
