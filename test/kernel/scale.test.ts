// The loaded classifier against the first-match reference, at the sizes that are promised.

import t from 'tap';
import { ask } from '../../src/kernel/ask.js';
import { readFaults } from '../../src/kernel/counters.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { manyPolicies, manyRules, millionPrefixes, tenSets } from '../compile/large.js';
import type { Large } from '../compile/large.js';
import { randomFrom } from '../compile/prefixes.js';
import { isSame, load } from './classify.js';
import { Sandbox } from './sandbox.js';

const seed = Number(process.env['CGFW_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** Asks the kernel about packets; gives how many different rules decided. */
async function compare(box: Sandbox, large: Large, count: number): Promise<number> {
  const { names } = await load(box, large.policy);
  const set = openCurrentSet(box.place.pinRoot)!;
  try {
    const before = readFaults(set).table;
    const deciders = new Set<number>();
    for (const packet of large.packets(count)) {
      const answer = ask(set, { ...packet, policy: packet.policy + 1 });
      const rule = names.rules[answer.rule]!;
      const expected = large.decide(packet);
      if (!isSame(rule, packet, expected) || answer.action !== rule.action)
        throw new Error(JSON.stringify({ packet, expected, answer, rule }));
      deciders.add(answer.rule);
    }
    if (readFaults(set).table !== before) throw new Error('an index leads outside the tables');
    return deciders.size;
  } finally {
    set.close();
  }
}

t.test('the loaded classifier decides as the reference does', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  t.comment(`CGFW_TEST_SEED=${String(seed)}`);
  await t.test('200 policies with one set in common', async (t) => {
    const deciders = await compare(box, manyPolicies(randomFrom(seed), 200), 20_000);
    t.ok(deciders > 400, `${String(deciders)} rules decided`);
  });
  await t.test('10,000 ordered rules', async (t) => {
    const deciders = await compare(box, manyRules(randomFrom(seed)), 3000);
    t.ok(deciders > 50, `${String(deciders)} rules decided`);
  });
  await t.test('ten sets that overlap', async (t) => {
    const deciders = await compare(box, tenSets(randomFrom(seed)), 10_000);
    t.ok(deciders > 15, `${String(deciders)} rules decided`);
  });
  await t.test('a list of 1,000,000 prefixes', async (t) => {
    const deciders = await compare(box, millionPrefixes(randomFrom(seed)), 10_000);
    t.equal(deciders, 5);
  });
});
