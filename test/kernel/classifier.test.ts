// The classifier in the kernel against a slow first-match reference, on random policies and packets.

import fc from 'fast-check';
import t from 'tap';
import { ask } from '../../src/kernel/ask.js';
import { readFaults } from '../../src/kernel/counters.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { arbitraryPacket, arbitraryPolicy } from '../compile/arbitrary.js';
import { cgroupPolicy, direction, list, policyOf, rule } from '../compile/build.js';
import { clustered } from '../compile/clustered.js';
import { randomFrom } from '../compile/prefixes.js';
import { decide } from '../compile/reference.js';
import { isSame, load } from './classify.js';
import { Sandbox } from './sandbox.js';

const POLICIES = 60;
const PACKETS = 500;

t.test('the loaded classifier decides as the reference does', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const seed = Number(process.env['CGFW_TEST_SEED'] ?? Date.now() % 2 ** 31);
  t.comment(`CGFW_TEST_SEED=${String(seed)}`);
  const policies = fc.sample(arbitraryPolicy(), { numRuns: POLICIES, seed });
  let cases = 0;
  const deciders = new Map<string, number>();
  for (const [number, policy] of policies.entries()) {
    const { names } = await load(box, policy);
    const packets = fc.sample(arbitraryPacket(policy), { numRuns: PACKETS, seed: seed + number });
    const set = openCurrentSet(box.place.pinRoot)!;
    try {
      const { rules } = names;
      for (const packet of packets) {
        const expected = decide(policy, packet);
        const answer = ask(set, { ...packet, policy: packet.policy + 1 });
        const rule = rules[answer.rule]!;
        if (!isSame(rule, packet, expected) || answer.action !== rule.action) {
          t.fail('the kernel decides otherwise', {
            policy: number,
            packet,
            expected,
            answer,
            rule,
          });
          return;
        }
        deciders.set(rule.kind, (deciders.get(rule.kind) ?? 0) + 1);
        cases++;
      }
      t.equal(readFaults(set).table, 0, 'no index leads outside the tables');
    } finally {
      set.close();
    }
  }
  t.equal(cases, POLICIES * PACKETS);
  t.comment(`${String(cases)} cases: ${JSON.stringify(Object.fromEntries(deciders))}`);
  for (const kind of ['rule', 'default', 'unparsable'])
    t.ok((deciders.get(kind) ?? 0) > 100, `${kind} decides often enough`);
});

t.test('the loaded classifier finds addresses in crowded lists', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const seed = Number(process.env['CGFW_TEST_SEED'] ?? Date.now() % 2 ** 31);
  t.comment(`CGFW_TEST_SEED=${String(seed)}`);
  const next = randomFrom(seed);
  const lists = [clustered(next), clustered(next)];
  const egress = direction('allow', rule('drop', [0], 'any'), rule('reject', [1], 'any'));
  const policy = policyOf(
    lists.map((ranges, i) => list(`list${String(i)}`, ranges)),
    [cgroupPolicy('web', { egress })],
  );
  const { rules } = (await load(box, policy)).names;
  const set = openCurrentSet(box.place.pinRoot)!;
  t.teardown(() => set.close());
  const deciders = new Map<number, number>();
  for (let i = 0; i < 20_000; i++) {
    const { v4, v6 } = lists[i & 1]!;
    const family = next(2) === 0 ? 4 : 6;
    const at = next(v6.length / 4) * 4;
    const words = family === 4 ? [v4[next(v4.length)]!] : [...v6.subarray(at, at + 4)];
    words[words.length - 1] = (words.at(-1)! + next(3) - 1) >>> 0;
    if (family === 6 && next(4) === 0) words[next(4)] = next(2 ** 32);
    const packet = { policy: 0, direction: 'egress', family, words, point: 443 } as const;
    const answer = ask(set, { ...packet, policy: 1 });
    if (!isSame(rules[answer.rule]!, packet, decide(policy, packet))) {
      t.fail('the kernel decides otherwise', { packet, answer });
      return;
    }
    deciders.set(answer.rule, (deciders.get(answer.rule) ?? 0) + 1);
  }
  t.equal(deciders.size, 3);
  t.equal(readFaults(set).table, 0, 'no index leads outside the tables');
});
