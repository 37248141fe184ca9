import fc from 'fast-check';
import t from 'tap';
import { containsAddress, mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import { allListRanges, listRanges } from '../../src/compile/addresses.js';
import { compile } from '../../src/compile/compile.js';
import { NODES, NODE_SIZE, ROOT_NODE } from '../../src/compile/layout.js';
import { classOf } from '../../src/compile/lookup.js';
import type { Tables } from '../../src/compile/tables.js';
import { arbitraryPacket, arbitraryRanges } from './arbitrary.js';
import { cgroupPolicy, list, policyOf, ranges4, ranges6 } from './build.js';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

function compileLists(...lists: readonly AddressRanges[]) {
  const named = lists.map((ranges, i) => list(`list${i}`, ranges));
  return compile(policyOf(named, [cgroupPolicy('a')]), new Map());
}

function nodeCount({ roots }: Tables): number {
  return (roots.length / 2 - NODES) / NODE_SIZE;
}

/** The longest search in a chunk of one family. */
function longestChunk({ roots }: Tables, from: number, to: number): number {
  let longest = 0;
  for (let entry = from; entry < to; entry++) {
    const count = roots[entry * 2 + 1]!;
    if (count < ROOT_NODE) longest = Math.max(longest, count);
  }
  return longest;
}

t.test('each list can be rebuilt exactly from the tables', async (t) => {
  const lists = fc.array(arbitraryRanges, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(lists, (ranges) => {
      const { tables, names } = compileLists(...ranges);
      const all = allListRanges(tables, names);
      return ranges.every(
        (each, i) => isSame(each, all[i]!) && (i > 0 || isSame(each, listRanges(tables, names, i))),
      );
    }),
    { seed, numRuns: 60 },
  );
  t.comment(`seed ${seed}`);
});

function isSame(a: AddressRanges, b: AddressRanges): boolean {
  return a.v4.join() === b.v4.join() && a.v6.join() === b.v6.join();
}

t.test('the class of an address names the lists that hold it, and no others', async (t) => {
  const cases = fc.array(arbitraryRanges, { minLength: 1, maxLength: 5 }).chain((ranges) => {
    const policy = policyOf(
      ranges.map((each, i) => list(`list${i}`, each)),
      [cgroupPolicy('a')],
    );
    return fc.tuple(fc.constant(ranges), fc.array(arbitraryPacket(policy), { minLength: 200 }));
  });
  fc.assert(
    fc.property(cases, ([ranges, packets]) => {
      const { tables, names } = compileLists(...ranges);
      return packets.every(({ family, words }) => {
        const found = names.classes[classOf(tables, family, words)]!;
        const holding = ranges.flatMap((each, i) =>
          containsAddress(each, family, words) ? [i] : [],
        );
        return found.join() === holding.join();
      });
    }),
    { seed, numRuns: 60 },
  );
  t.comment(`seed ${seed}`);
});

t.test('the same policy gives the same bytes', async (t) => {
  const [ranges] = fc.sample(fc.array(arbitraryRanges, { minLength: 4, maxLength: 4 }), {
    seed,
    numRuns: 1,
  });
  const first = compileLists(...ranges!);
  const second = compileLists(...ranges!);
  t.same(first, second);
});

t.test(
  'a crowded /16 becomes a node, and no chunk is searched in more than six steps',
  async (t) => {
    const hosts = Array.from({ length: 32768 }, (_, i) => 0x0a000000 + i * 2);
    const { tables, names } = compileLists(ranges4(...hosts.flatMap((host) => [host, host])));
    t.equal(nodeCount(tables), 1);
    t.ok(longestChunk(tables, 0, 65536) <= 64);
    t.ok(longestChunk(tables, NODES, NODES + 256) <= 256);
    t.equal(listRanges(tables, names, 0).v4.length, 65536);
  },
);

t.test('a first range never begins after its chunk', async (t) => {
  const { tables } = compileLists(ranges4(0x0a000100, 0x0a0001ff), ranges6(5, 0, 0, 7, 5, 0, 0, 9));
  const [first, count] = tables.roots.subarray(0x0a00 * 2);
  t.equal(count, 3);
  t.equal(tables.ranges4[first!]! >>> 16, 0);
});

t.test('any number of crowded IPv4 chunks leaves at most 8,192 nodes', async (t) => {
  const hosts = new Uint32Array(9000 * 70 * 2);
  for (let i = 0; i < hosts.length; i += 2) {
    hosts.fill(((Math.floor(i / 140) << 16) | ((i % 140) * 4)) >>> 0, i, i + 2);
  }
  const ranges = { v4: hosts, v6: new Uint32Array(0) };
  const { tables, names } = compileLists(ranges);
  t.ok(nodeCount(tables) <= 8192);
  t.ok(longestChunk(tables, 0, 65536) <= 256);
  t.ok(isSame(ranges, listRanges(tables, names, 0)));
});

t.test('any number of crowded IPv6 chunks leaves at most 16,384 nodes', async (t) => {
  const words: number[] = [];
  for (let i = 0; i < 120_000; i++) {
    const place = Math.imul(Math.floor(i / 20), 2654435761) >>> 4;
    words.push(0x20000000 | place, place << 20, i, 0, 0x20000000 | place, place << 20, i, 9);
  }
  const ranges = mergeRanges({
    v4: new Uint32Array(0),
    v6: Uint32Array.from(words.map((w) => w >>> 0)),
  });
  const chained: number[] = [];
  for (let i = 0; i < 120_000; i++) {
    const place = (Math.imul(Math.floor(i / 20), 2654435761) >>> 4) | 0x20000000;
    const upper = ((place << 8) | ((i % 20) * 2)) >>> 0;
    chained.push(place, upper, 0, 0, place, upper, 0xffffffff, 0xffffffff);
  }
  const more = mergeRanges({ v4: new Uint32Array(0), v6: Uint32Array.from(chained) });
  const { tables, names } = compileLists(ranges, more);
  t.ok(nodeCount(tables) <= 16384, `${nodeCount(tables)} nodes`);
  t.ok(longestChunk(tables, 65536, tables.roots.length / 2) <= 4096);
  const [first, second] = allListRanges(tables, names);
  t.ok(isSame(ranges, first!) && isSame(more, second!));
});

t.test('more boundaries inside one /64 than a search can tell apart are refused', async (t) => {
  const v6 = new Uint32Array(530_000 * 8);
  for (let i = 0; i < v6.length; i += 8) {
    v6[i] = v6[i + 4] = 0x20010db8;
    v6[i + 3] = v6[i + 7] = i;
  }
  t.throws(() => compileLists({ v4: new Uint32Array(0), v6 }), {
    code: 'invalid-policy',
    message: /inside one IPv6 \/64, where 1,048,576 fit/,
  });
});
