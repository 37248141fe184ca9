import fc from 'fast-check';
import t from 'tap';
import { containsAddress, mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import { allListRanges, listRanges } from '../../src/compile/addresses.js';
import { compile } from '../../src/compile/compile.js';
import { LINE_LASTS, LINE_WORDS, NO_LAST, NODES, ROOTS6 } from '../../src/compile/layout.js';
import { lineRange } from '../../src/compile/lines6.js';
import { classOf } from '../../src/compile/lookup.js';
import { readEntry, type Entry } from '../../src/compile/roots.js';
import type { Tables } from '../../src/compile/tables.js';
import { arbitraryPacket, arbitraryRanges } from './arbitrary.js';
import { clustered } from './clustered.js';
import { randomFrom } from './prefixes.js';
import { cgroupPolicy, list, policyOf, ranges4, ranges6 } from './build.js';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

function compileLists(...lists: readonly AddressRanges[]) {
  const named = lists.map((ranges, i) => list(`list${i}`, ranges));
  return compile(policyOf(named, [cgroupPolicy('a')]), new Map());
}

function nodeEntries({ roots }: Tables): number {
  return roots.length / 2 - NODES;
}

/** The entries that addresses of one family may come to. */
function* entriesOf(tables: Tables, family: 4 | 6): Generator<Entry> {
  const from = family === 4 ? 0 : ROOTS6;
  for (let root = from; root < from + 65536; root++) yield* entriesFrom(tables, root);
}

function* entriesFrom(tables: Tables, place: number): Generator<Entry> {
  const entry = readEntry(tables.roots, place);
  yield entry;
  if (entry.kind !== 'node') return;
  const size = 2 ** entry.width;
  for (let i = 0; i < size; i++) yield* entriesFrom(tables, entry.first + i * entry.places);
  for (let outer = 0; outer < (entry.skip > 0 ? 2 : 0); outer++)
    yield* entriesFrom(tables, entry.first + size * entry.places + outer);
}

/** The longest search in a chunk of one family: of ranges, not of lines. */
function longestChunk(tables: Tables, family: 4 | 6): number {
  let longest = 0;
  for (const entry of entriesOf(tables, family)) {
    if (entry.kind === 'ranges') longest = Math.max(longest, entry.count);
  }
  return longest;
}

/** In what ways the addresses of a line are answered. */
function kindsOfLine(ranges4: Uint32Array, line: number): string[] {
  const at = line * LINE_WORDS;
  const count = 1 + ranges4.subarray(at, at + LINE_LASTS).filter((last) => last < NO_LAST).length;
  return Array.from({ length: count }, (_, range) => lineRange(ranges4, at, range).kind);
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
    for (const entry of [...entriesOf(tables, 4), ...entriesOf(tables, 6)]) {
      kinds.add(entry.kind === 'node' && entry.skip > 0 ? 'skip' : entry.kind);
      if (entry.kind !== 'lines') continue;
      if (entry.count > 1) kinds.add('more lines');
      for (let line = 0; line < entry.count; line++) {
        for (const kind of kindsOfLine(tables.ranges4, entry.first + line)) kinds.add(kind);
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
  t.same([...kinds].sort(), ['class', 'lines', 'long', 'more lines', 'node', 'ranges', 'skip']);
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
  t.ok(longestChunk(tables, 4) <= 256);
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
  t.ok(longestChunk(tables, 4) <= 256);
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
  t.ok(longestChunk(tables, 6) <= 4096);
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
