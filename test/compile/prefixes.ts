// Prefixes as feeds have them: in any order, with overlaps and duplicates; and whether
// one holds an address, without ranges and without a sort.

/** Whole numbers below a bound, the same for the same seed (xorshift32). */
export type Random = (below: number) => number;

export function randomFrom(seed: number): Random {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

export interface Prefix {
  readonly family: 4 | 6;
  /** The first address: one word or four. */
  readonly words: readonly number[];
  readonly length: number;
}

const maskOf = (bits: number): number =>
  bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;

const firstOf = (words: readonly number[], length: number): number[] =>
  words.map((word, i) => (word & maskOf(length - 32 * i)) >>> 0);

/** Its last address. */
export const lastOf = ({ words, length }: Prefix): number[] =>
  words.map((word, i) => (word | ~maskOf(length - 32 * i)) >>> 0);

export function prefixOf(words: readonly number[], length: number): Prefix {
  return { family: words.length === 1 ? 4 : 6, words: firstOf(words, length), length };
}

const LENGTHS4 = [16, 20, 20, 22, 24, 24, 24, 24, 27, 28, 32, 32, 32, 32, 32, 32];
const LENGTHS6 = [44, 46, 48, 48, 48, 56, 56, 64, 64, 64, 80, 96, 127, 128, 128, 128];
const SITES = 4000;

/** Every tenth was drawn before, three of ten lie in or around one that was. */
export function drawPrefixes(next: Random, wanted: number): Prefix[] {
  const crowded = Array.from({ length: SITES }, () => next(2 ** 32));
  const drawn: Prefix[] = [];
  const fresh = (): Prefix => {
    const site = crowded[next(SITES)]!;
    if (next(10) < 6) {
      const word = next(3) === 0 ? ((site & 0xffff0000) | next(65536)) >>> 0 : next(2 ** 32);
      return prefixOf([word], LENGTHS4[next(16)]!);
    }
    const lower = next(3) === 0 ? [0, next(4), next(2 ** 32)] : [next(2 ** 32), site, next(65536)];
    return prefixOf([(0x20000000 | (site >>> 3)) >>> 0, ...lower], LENGTHS6[next(16)]!);
  };
  while (drawn.length < wanted) {
    const kind = next(10);
    const earlier = drawn[next(drawn.length)];
    if (earlier === undefined || kind > 3) drawn.push(fresh());
    else if (kind === 0) drawn.push(earlier);
    else drawn.push(kind === 1 ? around(next, earlier) : inside(next, earlier));
  }
  return drawn;
}

function around(next: Random, { words, length }: Prefix): Prefix {
  return prefixOf(words, Math.max(words.length === 1 ? 16 : 44, length - 1 - next(4)));
}

function inside(next: Random, prefix: Prefix): Prefix {
  const { words, length } = prefix;
  const longer = length + next(words.length * 32 - length + 1);
  return prefixOf(memberOf(next, prefix), longer);
}

/** A random address of a prefix. */
export function memberOf(next: Random, { words, length }: Prefix): number[] {
  return words.map((word, i) => (word | (next(2 ** 32) & ~maskOf(length - 32 * i))) >>> 0);
}

/** An address at an edge of a prefix: the first or last of it, or the one before or behind. */
export function edgeOf(next: Random, prefix: Prefix): number[] {
  const isLast = next(2) === 1;
  const words = isLast ? lastOf(prefix) : [...prefix.words];
  if (next(2) === 0) return words;
  const step = isLast ? 1 : -1;
  for (let i = words.length - 1; i >= 0; i--) {
    const sum = words[i]! + step;
    words[i] = sum >>> 0;
    if (sum >= 0 && sum <= 0xffffffff) break;
  }
  return words;
}

export function textOf({ family, words, length }: Prefix): string {
  if (family === 4) {
    const [word = 0] = words;
    const bytes = [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255];
    return length === 32 ? bytes.join('.') : `${bytes.join('.')}/${length}`;
  }
  const groups = words.flatMap((word) => [(word >>> 16).toString(16), (word & 65535).toString(16)]);
  return length === 128 ? groups.join(':') : `${groups.join(':')}/${length}`;
}

/** Words of a place in a bag: the length, 0 = free, behind the first address. */
const PLACE = 5;

/** A hash table of prefixes: an address is looked up once for each length that occurs. */
export class PrefixBag {
  readonly #places: Uint32Array;
  readonly #mask: number;
  readonly #lengths = { 4: new Set<number>(), 6: new Set<number>() };

  constructor(prefixes: readonly Prefix[]) {
    const size = 2 ** Math.ceil(Math.log2(2 * prefixes.length + 2));
    this.#places = new Uint32Array(size * PLACE);
    this.#mask = size - 1;
    for (const { family, words, length } of prefixes) {
      this.#lengths[family].add(length);
      const at = this.#placeOf(family, words, length);
      this.#places.set(words, at);
      this.#places[at + PLACE - 1] = markOf(family, length);
    }
  }

  has(family: 4 | 6, words: readonly number[]): boolean {
    for (const length of this.#lengths[family]) {
      const at = this.#placeOf(family, firstOf(words, length), length);
      if (this.#places[at + PLACE - 1] !== 0) return true;
    }
    return false;
  }

  /** Where this very prefix is, or else the free place for it. */
  #placeOf(family: 4 | 6, words: readonly number[], length: number): number {
    const mark = markOf(family, length);
    let hash = mark;
    for (const word of words) hash = Math.imul(hash ^ word ^ (hash >>> 15), 0x9e3779b1);
    const places = this.#places;
    for (let place = (hash ^ (hash >>> 15)) & this.#mask; ; place = (place + 1) & this.#mask) {
      const at = place * PLACE;
      const there = places[at + PLACE - 1];
      if (there === 0) return at;
      if (there === mark && words.every((word, i) => places[at + i] === word)) return at;
    }
  }
}

/** Never 0, and another one for each family. */
const markOf = (family: 4 | 6, length: number): number => family * 1000 + length;
