import fc from 'fast-check';
import t from 'tap';
import { containsAddress, mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import { allListRanges, listRanges } from '../../src/compile/addresses.js';
import { compile } from '../../src/compile/compile.js';
import { NODES, VALUE_LONG } from '../../src/compile/layout.js';
import { classOf } from '../../src/compile/lookup.js';
import { readEntry } from '../../src/compile/roots.js';
import type { Tables } from '../../src/compile/tables.js';
import { arbitraryPacket, arbitraryRanges } from './arbitrary.js';
import { clustered, randomFrom } from './clustered.js';
import { cgroupPolicy, list, policyOf, ranges4, ranges6 } from './build.js';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

function compileLists(...lists: readonly AddressRanges[]) {
  const named = lists.map((ranges, i) => list(`list${i}`, ranges));
  return compile(policyOf(named, [cgroupPolicy('a')]), new Map());
}

function nodeEntries({ roots }: Tables): number {
  return roots.length / 2 - NODES;
}

/** The longest search in a chunk of one family. */
function longestChunk({ roots }: Tables, from: number, to: number): number {
  let longest = 0;
  for (let place = from; place < to; place++) {
    const entry = readEntry(roots, place);
    if (entry.kind === 'ranges' || entry.kind === 'short') longest = Math.max(longest, entry.count);
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

t.test('crowded places of every shape are found, and can be rebuilt', async (t) => {
  const next = randomFrom(seed);
  const kinds = new Set<string>();
  for (let run = 0; run < 20; run++) {
    const lists = [clustered(next), clustered(next)];
    const { tables, names } = compileLists(...lists);
    const { roots, ranges4 } = tables;
    for (let place = 0; place < roots.length / 2; place++) {
      const entry = readEntry(roots, place);
      kinds.add(entry.kind === 'node' && entry.skip > 0 ? 'skip' : entry.kind);
      if (entry.kind !== 'short') continue;
      for (let at = entry.first; at < entry.first + entry.count; at++) {
        if (ranges4[at * 2 + 1]! >= VALUE_LONG) kinds.add('long');
      }
    }
    for (const [i, ranges] of allListRanges(tables, names).entries()) {
      if (!isSame(ranges, lists[i]!)) throw new Error(`list ${i} of run ${run} is another`);
    }
    for (const { v4, v6 } of lists) {
      for (let i = 0; i < 2000; i++) {
        const at = next(v6.length / 4) * 4;
        const words = [...v6.subarray(at, at + 4)];
        words[3] = (words[3]! + next(3) - 1) >>> 0;
        if (next(2) === 0) words[next(4)] = next(2 ** 32);
        const holding = lists.flatMap((each, list) =>
          containsAddress(each, 6, words) ? [list] : [],
        );
        if (names.classes[classOf(tables, 6, words)]!.join() !== holding.join())
          throw new Error(`run ${run}: ${words.join()} is in ${holding.join()}`);
        const host = [(v4[next(v4.length)]! + next(3) - 1) >>> 0];
        const of4 = lists.flatMap((each, list) => (containsAddress(each, 4, host) ? [list] : []));
        if (names.classes[classOf(tables, 4, host)]!.join() !== of4.join())
          throw new Error(`run ${run}: ${host.join()} is in ${of4.join()}`);
      }
    }
  }
  t.same([...kinds].sort(), ['class', 'long', 'node', 'ranges', 'short', 'skip']);
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

t.test('a crowded /16 becomes a node, and its chunks are searched in few steps', async (t) => {
  const hosts = Array.from({ length: 32768 }, (_, i) => 0x0a000000 + i * 2);
  const { tables, names } = compileLists(ranges4(...hosts.flatMap((host) => [host, host])));
  t.equal(nodeEntries(tables), 256);
  t.equal(longestChunk(tables, 0, 65536), 0);
  t.ok(longestChunk(tables, NODES, NODES + 256) <= 256);
  t.equal(listRanges(tables, names, 0).v4.length, 65536);
});

t.test('a first range never begins after its chunk', async (t) => {
  const { tables } = compileLists(ranges4(0x0a000100, 0x0a0001ff), ranges6(5, 0, 0, 7, 5, 0, 0, 9));
  const [first, count] = tables.roots.subarray(0x0a00 * 2);
  t.equal(count, 3);
  t.equal(tables.ranges4[first!]! >>> 16, 0);
});

t.test('any number of crowded IPv4 chunks leaves at most 2 M entries of nodes', async (t) => {
  const hosts = new Uint32Array(9000 * 70 * 2);
  for (let i = 0; i < hosts.length; i += 2) {
    hosts.fill(((Math.floor(i / 140) << 16) | ((i % 140) * 4)) >>> 0, i, i + 2);
  }
  const ranges = { v4: hosts, v6: new Uint32Array(0) };
  const { tables, names } = compileLists(ranges);
  t.ok(nodeEntries(tables) <= 1 << 21);
  t.ok(longestChunk(tables, 0, 65536) <= 256);
  t.ok(isSame(ranges, listRanges(tables, names, 0)));
});

t.test('any number of crowded IPv6 chunks leaves at most 4 M entries of nodes', async (t) => {
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
  t.ok(nodeEntries(tables) <= 1 << 22, `${nodeEntries(tables)} entries`);
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
