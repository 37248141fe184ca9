// Reading and writing one slot of the tables through the maps' memory.

import { crc32 } from 'node:zlib';
import { blobOf, decodeBlob } from '../compile/blob.js';
import type { Program } from '../compile/program.js';
import type { Capacity, Tables } from '../compile/tables.js';
import { CgfwError } from '../base/error.js';
import type { BpfMap } from './native.js';
import { slotOffset, TABLES, TEXT_HEADER } from './maps.js';
import type { TableMap } from './maps.js';

export type TableMaps = Readonly<Record<TableMap, BpfMap>>;

const MAGIC = 0x77666763; // "cgfw" in little-endian order

/** Writes `program` as `generation` to its slot, which no packet may be reading. */
export function writeSlot(
  maps: TableMaps,
  capacity: Capacity,
  generation: number,
  program: Program,
): void {
  const slot = generation & 1;
  for (const table of TABLES) {
    const words = program.tables[table];
    maps[table].write(slotOffset(table, slot, capacity), bytesOf(words));
  }
  const offset = slotOffset('text', slot, capacity);
  maps.text.write(offset + TEXT_HEADER, blobOf(program));
  maps.text.write(offset, bytesOf(headerOf(program, generation)));
}

function headerOf(program: Program, generation: number): Uint32Array {
  const header = new Uint32Array(TEXT_HEADER / 4);
  const lengths = TABLES.map((table) => program.tables[table].length);
  const checksum = knownChecksum(program.tables);
  header.set([MAGIC, generation, blobOf(program).length, ...lengths, checksum]);
  return header;
}

/**
 * Reads back a generation: the one in force, or the one before it for as long as
 * no other was filled in. `depth` names-only leaves the tables empty, for
 * commands that need no addresses. A program that is there to the last byte as
 * `known` has it is given back itself. Throws `abi` when it is not there or damaged;
 * tables are checked only when they are read.
 */
export function readSlot(
  maps: TableMaps,
  capacity: Capacity,
  generation: number,
  depth: 'whole' | 'names-only' = 'whole',
  known: Program | null = null,
): Program {
  if (known !== null && depth === 'whole' && isHeld(maps, capacity, generation, known))
    return known;
  const slot = generation & 1;
  const { blob, lengths, checksum } = openText(maps, capacity, generation);
  const { text, names } = decodeBlob(blob);
  const read = (table: (typeof TABLES)[number], width: number): Uint8Array => {
    const length = depth === 'whole' ? (lengths[TABLES.indexOf(table)] ?? 0) : 0;
    return maps[table].read(slotOffset(table, slot, capacity), length * width);
  };
  const tables: Tables = {
    roots: wordsOf(read('roots', 4)),
    ranges4: wordsOf(read('ranges4', 4)),
    ranges6: wordsOf(read('ranges6', 4)),
    cells: halfWordsOf(read('cells', 2)),
    services: halfWordsOf(read('services', 2)),
    rules: wordsOf(read('rules', 4)),
    policies: wordsOf(read('policies', 4)),
  };
  if (depth === 'whole' && checksumOf(tables) !== checksum) {
    throw new CgfwError('the loaded tables are not as they were written', {
      code: 'abi',
      fix: 'load the policy again: cgfw apply',
    });
  }
  return { text, names, tables };
}

/** The header comes first: it tells the lengths, without which the rest says nothing. */
function isHeld(
  maps: TableMaps,
  capacity: Capacity,
  generation: number,
  program: Program,
): boolean {
  const slot = generation & 1;
  const text = slotOffset('text', slot, capacity);
  return (
    maps.text.equals(text, bytesOf(headerOf(program, generation))) &&
    maps.text.equals(text + TEXT_HEADER, blobOf(program)) &&
    TABLES.every((table) =>
      maps[table].equals(slotOffset(table, slot, capacity), bytesOf(program.tables[table])),
    )
  );
}

/**
 * Text and names of a generation as they lie there, for decodeBlob: for whoever may
 * need them later, when they are overwritten. Throws `abi` as readSlot does.
 */
export function readBlob(maps: TableMaps, capacity: Capacity, generation: number): Uint8Array {
  return openText(maps, capacity, generation).blob;
}

function openText(maps: TableMaps, capacity: Capacity, generation: number) {
  const offset = slotOffset('text', generation & 1, capacity);
  const header = wordsOf(maps.text.read(offset, TEXT_HEADER));
  const [magic, written, blobLength, ...rest] = header;
  if (magic !== MAGIC || written !== generation || blobLength === undefined) {
    throw new CgfwError(`the loaded tables carry no text of generation ${String(generation)}`, {
      code: 'abi',
      fix: 'load the policy again: cgfw down, then cgfw apply',
    });
  }
  return {
    blob: maps.text.read(offset + TEXT_HEADER, blobLength),
    lengths: rest.slice(0, TABLES.length),
    checksum: rest[TABLES.length],
  };
}

/**
 * Whoever follows damaged offsets may never come to an end. Empty tables are left
 * out: zlib begins anew at a null pointer, which is what an empty array may be.
 */
function checksumOf(tables: Tables): number {
  return TABLES.map((table) => bytesOf(tables[table]))
    .filter((bytes) => bytes.length > 0)
    .reduce((sum, bytes) => crc32(bytes, sum), 0);
}

const checksums = new WeakMap<Tables, number>();

/** Of tables that were compiled, or read and found right: they do not change any more. */
function knownChecksum(tables: Tables): number {
  const checksum = checksums.get(tables) ?? checksumOf(tables);
  checksums.set(tables, checksum);
  return checksum;
}

function bytesOf(words: Uint32Array | Uint16Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function halfWordsOf(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}
