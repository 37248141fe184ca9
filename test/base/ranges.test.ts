import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { parsePrefix, type Prefix } from '../../src/base/address.js';
import {
  containsAddress,
  coversRanges,
  intersectRanges,
  intersects,
  isEmpty,
  mergeRanges,
  NO_ADDRESSES,
  rangesOf,
  subtractRanges,
  toPrefixes,
  unionRanges,
  type AddressRanges,
} from '../../src/base/ranges.js';

// A small world, so that ranges meet: offsets 0 to 63 around awkward places.
const PLACES: Record<4 | 6, readonly (readonly number[])[]> = {
  4: [[0], [0xffffffff - 63], [0x7fffffe0]],
  6: [
    [0, 0, 0, 0],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff - 63],
    [1, 0, 0xffffffff, 0xffffffe0],
  ],
};

interface Piece {
  readonly family: 4 | 6;
  readonly place: number;
  readonly first: number;
  readonly length: number;
}

const piece: fc.Arbitrary<Piece> = fc.record({
  family: fc.constantFrom(4, 6),
  place: fc.integer({ min: 0, max: 2 }),
  first: fc.integer({ min: 0, max: 63 }),
  length: fc.integer({ min: 0, max: 20 }),
});
const pieces = fc.array(piece, { maxLength: 20 });

/** The number at an offset from a place, carried over words. */
function at(family: 4 | 6, place: number, offset: number): number[] {
  const words = [...(PLACES[family][place] ?? [])];
  let carry = offset;
  for (let i = words.length - 1; i >= 0; i--) {
    const sum = (words[i] ?? 0) + carry;
    words[i] = sum % 2 ** 32;
    carry = Math.floor(sum / 2 ** 32);
  }
  return words;
}

function rawOf(all: readonly Piece[]): AddressRanges {
  const words = (family: 4 | 6): Uint32Array =>
    Uint32Array.from(
      all
        .filter((p) => p.family === family)
        .flatMap((p) => [
          ...at(family, p.place, p.first),
          ...at(family, p.place, Math.min(63, p.first + p.length)),
        ]),
    );
  return { v4: words(4), v6: words(6) };
}

/** The set of points as text: the slow truth. */
function membersOf(all: readonly Piece[]): Set<string> {
  const members = new Set<string>();
  for (const { family, place, first, length } of all) {
    for (let i = first; i <= Math.min(63, first + length); i++)
      members.add(at(family, place, i).join());
  }
  return members;
}

function pointsOf(ranges: AddressRanges): Set<string> {
  const members = new Set<string>();
  for (const family of [4, 6] as const) {
    for (let place = 0; place < 3; place++) {
      for (let i = 0; i < 64; i++) {
        const words = at(family, place, i);
        if (containsAddress(ranges, family, words)) members.add(words.join());
      }
    }
  }
  return members;
}

function isCanonical({ v4, v6 }: AddressRanges): boolean {
  const key = (words: Uint32Array): bigint =>
    words.reduce((sum, word) => sum * 2n ** 32n + BigInt(word), 0n);
  for (const [words, size] of [
    [v4, 1],
    [v6, 4],
  ] as const) {
    let end = -2n;
    for (let i = 0; i < words.length; i += 2 * size) {
      const first = key(words.subarray(i, i + size));
      const last = key(words.subarray(i + size, i + 2 * size));
      if (first > last || first <= end + 1n) return false;
      end = last;
    }
  }
  return true;
}

t.test('merged ranges are canonical and hold the same addresses', async (t) => {
  fc.assert(
    fc.property(pieces, (all) => {
      const merged = mergeRanges(rawOf(all));
      assert.ok(isCanonical(merged));
      assert.deepEqual(pointsOf(merged), membersOf(all));
    }),
    { numRuns: 300 },
  );
  t.pass('holds');
});

t.test('union, difference and intersection are those of sets', async (t) => {
  fc.assert(
    fc.property(pieces, pieces, (a, b) => {
      const [x, y] = [mergeRanges(rawOf(a)), mergeRanges(rawOf(b))];
      const [mx, my] = [membersOf(a), membersOf(b)];
      assert.deepEqual(pointsOf(unionRanges([x, y])), new Set([...mx, ...my]));
      assert.deepEqual(pointsOf(subtractRanges(x, y)), new Set([...mx].filter((m) => !my.has(m))));
      assert.deepEqual(pointsOf(intersectRanges(x, y)), new Set([...mx].filter((m) => my.has(m))));
      assert.equal(
        intersects(x, y),
        [...mx].some((m) => my.has(m)),
      );
      assert.equal(
        coversRanges(x, y),
        [...my].every((m) => mx.has(m)),
      );
      assert.ok(
        [unionRanges([x, y]), subtractRanges(x, y), intersectRanges(x, y)].every(isCanonical),
      );
    }),
    { numRuns: 300 },
  );
  t.pass('holds');
});

t.test('prefixes of a set make that set again, and no two of them make one', async (t) => {
  fc.assert(
    fc.property(pieces, (all) => {
      const merged = mergeRanges(rawOf(all));
      const { count, prefixes } = toPrefixes(merged);
      assert.equal(count, prefixes.length);
      const parsed = prefixes
        .map((text) => parsePrefix(text))
        .filter((p): p is Prefix => p.kind === 'prefix');
      const mapped = prefixes.length - parsed.length;
      assert.ok(mapped > 0 || JSON.stringify(rangesOf(parsed)) === JSON.stringify(merged));
    }),
    { numRuns: 200 },
  );
  t.pass('holds');
  const everything = rangesOf(
    [parsePrefix('0.0.0.0/0'), parsePrefix('::/0')].filter((p): p is Prefix => p.kind === 'prefix'),
  );
  t.same(toPrefixes(everything), { count: 2, prefixes: ['0.0.0.0/0', '::/0'] });
  const gap = subtractRanges(
    everything,
    rangesOf([parsePrefix('192.0.2.1')].filter((p): p is Prefix => p.kind === 'prefix')),
  );
  t.same(toPrefixes(gap, 1), { count: 33, prefixes: ['0.0.0.0/1'] });
});

t.test('large unsorted sets are merged as small ones', async (t) => {
  let state = 7;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const v4 = new Uint32Array(20_000);
  for (let i = 0; i < v4.length; i += 2)
    v4[i + 1] = Math.min((v4[i] = random()) + (random() & 0xffff), 0xffffffff);
  const v6 = new Uint32Array(80_000);
  for (let i = 0; i < v6.length; i += 8) {
    v6.set([random() & 3, random(), random(), 5], i);
    v6.set([...v6.subarray(i, i + 3), 9], i + 4);
  }
  const merged = mergeRanges({ v4, v6 });
  t.ok(isCanonical(merged));
  for (let i = 0; i < v4.length; i += 200) t.ok(containsAddress(merged, 4, [v4[i] ?? 0]));
  for (let i = 0; i < v6.length; i += 800) t.ok(containsAddress(merged, 6, v6.subarray(i, i + 4)));
  t.same(mergeRanges(merged), merged);
});

t.test('no addresses are nothing', async (t) => {
  t.ok(isEmpty(NO_ADDRESSES));
  t.same(unionRanges([]), NO_ADDRESSES);
  t.notOk(intersects(NO_ADDRESSES, NO_ADDRESSES));
  t.same(toPrefixes(NO_ADDRESSES), { count: 0, prefixes: [] });
});
