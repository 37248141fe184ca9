// Address lists in which every way that the tables know is needed.

import { mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import type { Random } from './prefixes.js';

/** Prefixes of mixed length that crowd around a few places, as hosts and sites do. */
export function clustered(next: Random): AddressRanges {
  const v4: number[] = [];
  const v6: number[] = [];
  for (let place = 0; place < 40; place++) {
    const site = [0x20010000 + next(4), 0x20000000 + next(1 << 28)][place % 2]!;
    const spread = [4, 8, 16, 24][next(4)]!;
    const least = 33 + next(31);
    for (let i = next(400); i >= 0; i--) {
      const length = [least, least, 64, 64, 128, 127][next(6)]!;
      // The last bits before /least differ, and a few prefixes are longer.
      const second = next(2 ** spread) << (64 - least);
      const words = [
        site,
        (length > least ? second | next(2 ** (64 - least)) : second) >>> 0,
        length > 64 ? next(2) * next(2 ** 32) : 0,
        length > 64 ? next(2 ** 32) : 0,
      ].map((word, at) => (word & maskOf(length - at * 32)) >>> 0);
      v6.push(...words, ...words.map((word, at) => (word | ~maskOf(length - at * 32)) >>> 0));
      const short = [20, 24, 28, 32][next(4)]!;
      const host = (((site & 0xffff) << 16) | next(65536)) & maskOf(short);
      v4.push(host >>> 0, (host | ~maskOf(short)) >>> 0);
    }
  }
  return mergeRanges({ v4: Uint32Array.from(v4), v6: Uint32Array.from(v6) });
}

function maskOf(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? 0xffffffff : (0xffffffff << (32 - length)) >>> 0;
}
