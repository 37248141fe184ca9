// Lists for interfaces, and addresses that frames come from: in the list or beside it.

import {
  addressText6,
  beside6,
  inside4,
  inside6,
  outside4,
  prefixes6,
  textOf4,
} from '../generate.js';
import { readFileSync } from 'node:fs';
import { dataFile, listOf, networkOrder, SEED } from './data.js';
import { setFile } from './policies.js';

export interface SourceList {
  readonly family: 4 | 6;
  readonly size: number;
  /** addresses: exact ones, the only kind that some filters know. */
  readonly of: 'prefixes' | 'addresses';
}

/** Random sources of which none repeats soon. */
const SOURCES = 1 << 19;
/** Exact addresses are taken out of this list, and traffic beside it passes. */
const EXACT_FROM = 100_000;

/** A file of addresses in network order, for the traffic program: `inside` the list or beside it. */
export function sourcesFile(list: SourceList, side: 'inside' | 'beside'): string {
  const { family, size, of } = list;
  if (of === 'addresses') {
    const from = sourcesFile({ family, size: EXACT_FROM, of: 'prefixes' }, side);
    if (side === 'beside') return from;
    return dataFile(`${String(size)}.exact${String(family)}`, () =>
      Uint8Array.from(readFileSync(from)).subarray(0, size * (family === 4 ? 4 : 16)),
    );
  }
  return dataFile(`${String(size)}.${side}${String(family)}`, () =>
    networkOrder(side === 'inside' ? inside(list) : beside(list)),
  );
}

function inside({ family, size }: SourceList): Uint32Array {
  if (family === 4) return inside4(SEED, listOf(size), SOURCES);
  return inside6(SEED, prefixes6(SEED, size), SOURCES);
}

function beside({ family, size }: SourceList): Uint32Array {
  return family === 4 ? outside4(SEED, listOf(size), SOURCES) : beside6(SEED, SOURCES);
}

/** The same addresses in host order, one word or four each. */
export function sourceWords(list: SourceList, side: 'inside' | 'beside'): Uint32Array {
  const bytes = Uint8Array.from(readFileSync(sourcesFile(list, side)));
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4));
}

/** The exact addresses one by one. */
export function exactAddresses(list: SourceList): Uint32Array[] {
  const words = sourceWords(list, 'inside');
  const width = list.family === 4 ? 1 : 4;
  return Array.from({ length: words.length / width }, (_, i) =>
    words.subarray(i * width, (i + 1) * width),
  );
}

export function addressText(words: Uint32Array): string {
  return words.length === 1 ? textOf4(words[0] ?? 0) : addressText6(words);
}

/** The list as cgfw reads it. */
export function listFile(list: SourceList): string {
  const { family, size, of } = list;
  if (of === 'prefixes') return setFile({ prefixes: size, family });
  return dataFile(
    `${String(size)}.exact${String(family)}.netset`,
    () => `${exactAddresses(list).map(addressText).join('\n')}\n`,
  );
}
