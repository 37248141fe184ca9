// Sets of addresses as sorted ranges: the form in which all address sets travel.

import { formatAddress, maskOf, type Family, type Prefix } from './address.js';
import {
  commonWords,
  coverWords,
  findWords,
  intersectWords,
  mergeWords,
  subtractWords,
} from './words.js';

/**
 * Disjoint, sorted, merged (never adjacent) inclusive ranges.
 * `v4` holds pairs [first, last] of host-order addresses; `v6` holds groups of
 * eight words: first (4 words, most significant first), last (4 words).
 */
export interface AddressRanges {
  readonly v4: Uint32Array;
  readonly v6: Uint32Array;
}

export const NO_ADDRESSES: AddressRanges = { v4: new Uint32Array(0), v6: new Uint32Array(0) };

/** Ranges in any order, overlapping or adjacent, made canonical. The input is left as it is. */
export function mergeRanges(raw: AddressRanges): AddressRanges {
  return { v4: mergeWords(raw.v4, 1), v6: mergeWords(raw.v6, 4) };
}

/** The ranges of some prefixes, in any order. */
export function rangesOf(prefixes: readonly Prefix[]): AddressRanges {
  const words = (family: Family): Uint32Array =>
    Uint32Array.from(
      prefixes.filter((p) => p.family === family).flatMap((p) => [...p.first, ...p.last]),
    );
  return mergeRanges({ v4: words(4), v6: words(6) });
}

/** Every address that is in any of the sets. */
export function unionRanges(sets: readonly AddressRanges[]): AddressRanges {
  const [only] = sets;
  if (only !== undefined && sets.length === 1) return only;
  return mergeRanges(concatRanges(sets));
}

/** The ranges of all sets, one after the other: for mergeRanges. */
export function concatRanges(sets: readonly AddressRanges[]): AddressRanges {
  return { v4: concat(sets.map((set) => set.v4)), v6: concat(sets.map((set) => set.v6)) };
}

function concat(parts: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Every address of `from` that is not in `what`. */
export function subtractRanges(from: AddressRanges, what: AddressRanges): AddressRanges {
  return { v4: subtractWords(from.v4, what.v4, 1), v6: subtractWords(from.v6, what.v6, 4) };
}

/** Every address that is in both. */
export function intersectRanges(a: AddressRanges, b: AddressRanges): AddressRanges {
  return { v4: commonWords(a.v4, b.v4, 1), v6: commonWords(a.v6, b.v6, 4) };
}

/** Whether some address is in both. */
export function intersects(a: AddressRanges, b: AddressRanges): boolean {
  return intersectWords(a.v4, b.v4, 1) || intersectWords(a.v6, b.v6, 4);
}

/** Whether every address of `inner` is in `outer`. */
export function coversRanges(outer: AddressRanges, inner: AddressRanges): boolean {
  return coverWords(outer.v4, inner.v4, 1) && coverWords(outer.v6, inner.v6, 4);
}

/** Whether one address (words as in formatAddress) is in the set. */
export function containsAddress(
  ranges: AddressRanges,
  family: Family,
  words: ArrayLike<number>,
): boolean {
  return family === 4 ? findWords(ranges.v4, words, 1) : findWords(ranges.v6, words, 4);
}

/** Whether there is no address in the set. */
export function isEmpty(ranges: AddressRanges): boolean {
  return ranges.v4.length === 0 && ranges.v6.length === 0;
}

/** How many prefixes the fewest-prefix cover of a set has, and the first `limit` of them as text. */
export interface PrefixCover {
  readonly count: number;
  readonly prefixes: readonly string[];
}

/** The fewest prefixes that cover exactly these addresses, IPv4 first, in order. */
export function toPrefixes(ranges: AddressRanges, limit = Infinity): PrefixCover {
  const cover = { count: 0, prefixes: [] as string[] };
  for (let i = 0; i < ranges.v4.length; i += 2)
    coverRange4(ranges.v4[i] ?? 0, ranges.v4[i + 1] ?? 0, cover, limit);
  for (let i = 0; i < ranges.v6.length; i += 8)
    coverRange6(ranges.v6.subarray(i, i + 8), cover, limit);
  return cover;
}

interface Cover {
  count: number;
  readonly prefixes: string[];
}

/** In plain numbers: every plan counts lists of a million. */
function coverRange4(first: number, last: number, cover: Cover, limit: number): void {
  for (let at = first; at <= last;) {
    const aligned = at === 0 ? 32 : 31 - Math.clz32(at & -at);
    const rest = last - at + 1;
    const fitting = rest === 2 ** 32 ? 32 : 31 - Math.clz32(rest);
    const host = Math.min(aligned, fitting);
    if (cover.count++ < limit) cover.prefixes.push(prefixText(4, Uint32Array.of(at), 32 - host));
    at += 2 ** host;
  }
}

/** As coverRange4, of four words each way. */
function coverRange6(range: Uint32Array, cover: Cover, limit: number): void {
  const at = range.slice(0, 4);
  const last = range.subarray(4);
  for (;;) {
    const host = Math.min(trailingZeros(at), fittingBits(at, last));
    if (cover.count++ < limit) cover.prefixes.push(prefixText(6, at, 128 - host));
    if (stepOver(at, last, host)) return;
  }
}

/** Bits below the lowest that is set, of 128. */
function trailingZeros(at: Uint32Array): number {
  for (let i = 3; i >= 0; i--) {
    const word = at[i]!;
    if (word !== 0) return 32 * (3 - i) + 31 - Math.clz32(word & -word);
  }
  return 128;
}

/** The most host bits of a block that has room from `at` to `last`. */
function fittingBits(at: Uint32Array, last: Uint32Array): number {
  let borrow = 0;
  let bits = 0;
  let isFull = true;
  // The difference, from its lowest word on: its length, and whether all its bits are set.
  for (let i = 3; i >= 0; i--) {
    let word = last[i]! - at[i]! - borrow;
    borrow = word < 0 ? 1 : 0;
    word >>>= 0;
    if (word === 0) continue;
    const length = 32 - Math.clz32(word);
    isFull = isFull && bits === 32 * (3 - i) && word === 2 ** length - 1;
    bits = 32 * (3 - i) + length;
  }
  return isFull ? bits : bits - 1;
}

/** Goes on behind the block of 2^host addresses at `at`; true when it ends at `last`. */
function stepOver(at: Uint32Array, last: Uint32Array, host: number): boolean {
  let isEnd = true;
  for (let i = 0; i < 4; i++) {
    at[i] = at[i]! | ~maskOf(128 - host - 32 * i);
    if (at[i] !== last[i]) isEnd = false;
  }
  for (let i = 3; i >= 0 && !isEnd; i--) {
    at[i] = at[i]! + 1;
    if (at[i] !== 0) break;
  }
  return isEnd;
}

function prefixText(family: Family, words: Uint32Array, bits: number): string {
  const address = formatAddress(family, words);
  return bits === 32 * words.length ? address : `${address}/${bits}`;
}
