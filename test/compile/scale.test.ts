// The classifier in user space against the first-match reference, at the sizes that are promised.

import t from 'tap';
import { compile } from '../../src/compile/compile.js';
import { verdictOf } from '../../src/compile/lookup.js';
import type { Program } from '../../src/compile/program.js';
import type { Tables } from '../../src/compile/tables.js';
import { manyPolicies, manyRules, millionPrefixes, OWN_PREFIXES, tenSets } from './large.js';
import type { Large } from './large.js';
import { randomFrom } from './prefixes.js';

const seed = Number(process.env['CGFW_TEST_SEED'] ?? Date.now() % 2 ** 31);
t.comment(`CGFW_TEST_SEED=${seed}`);

/** Compares both on packets; gives what was compiled and how many different rules decided. */
function compare({ policy, decide, packets }: Large, count: number): [Program, number] {
  const program = compile(policy, new Map());
  const { tables, names } = program;
  const deciders = new Set<number>();
  for (const packet of packets(count)) {
    const { direction, family, words, point } = packet;
    const found = verdictOf(tables, packet.policy + 1, direction, family, words, point);
    const { kind, index } = names.rules[found]!;
    const decided = kind === 'rule' ? index : kind;
    const wanted = decide(packet);
    if (decided !== wanted)
      throw new Error(`${JSON.stringify(packet)}: ${decided}, and not ${wanted}`);
    deciders.add(found);
  }
  return [program, deciders.size];
}

t.test('a list of 1,000,000 prefixes in any order, with overlaps and duplicates', async (t) => {
  const [{ tables }, deciders] = compare(millionPrefixes(randomFrom(seed)), 10_000);
  t.equal(deciders, 5, 'both rules, both defaults, and a port that cannot be read');
  t.ok(tables.ranges4.length > 250_000, `${tables.ranges4.length} ranges of IPv4`);
  t.ok(tables.ranges6.length > 250_000, `${tables.ranges6.length / 4} ranges of IPv6`);
});

t.test('ten sets of 100,000 prefixes that overlap', async (t) => {
  const [, deciders] = compare(tenSets(randomFrom(seed)), 10_000);
  t.ok(deciders > 15, `${deciders} rules decided`);
});

t.test('10,000 ordered rules with prefixes and port ranges in one direction', async (t) => {
  const [, deciders] = compare(manyRules(randomFrom(seed)), 3000);
  t.ok(deciders > 50, `${deciders} rules decided`);
});

const bytesOf = ({ roots, ranges4, ranges6, cells, policies, rules }: Tables) => ({
  roots: roots.byteLength,
  ranges: ranges4.byteLength + ranges6.byteLength,
  cells: cells.byteLength,
  policies: policies.byteLength + rules.byteLength,
});

t.test('200 policies share one table of addresses', async (t) => {
  const [single] = compare(manyPolicies(randomFrom(seed), 1), 1000);
  const [program, deciders] = compare(manyPolicies(randomFrom(seed), 200), 20_000);
  t.ok(deciders > 400, `${deciders} rules decided`);
  const one = bytesOf(single.tables);
  const all = bytesOf(program.tables);
  t.comment({ one, all });
  const boundaries = 2 * 200 * OWN_PREFIXES;
  t.ok(
    all.ranges - one.ranges < boundaries * 16,
    'own prefixes cost their boundaries, 16 bytes each at most',
  );
  t.ok(all.roots - one.roots < 100 * 2048, 'and some nodes where they lie close together');
  const classes = program.names.classes.length;
  t.ok(classes < 200 * 5, `${classes} classes: the own lists, alone and with others`);
  t.ok(
    all.cells < 200 * (2 * 2 * classes + 64),
    'a policy has two bytes a class in each direction, and a few verdicts',
  );
  t.equal(all.policies - one.policies, 199 * 136, 'and 136 bytes for itself and its rules');
});
