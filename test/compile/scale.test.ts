import t from 'tap';
import { mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import { POINT_PROTO, POINT_UDP } from '../../src/abi/points.js';
import { compile } from '../../src/compile/compile.js';
import { verdictOf } from '../../src/compile/lookup.js';
import type { Policy, Rule } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, list, policyOf, rule } from './build.js';
import { decide, type Packet } from './reference.js';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31) | 1;

/** xorshift32: the same numbers for the same seed. */
function random(from: number): (below: number) => number {
  let state = from;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function prefix(address: number, length: number): AddressRanges {
  const mask = (0xffffffff << (32 - length)) >>> 0;
  const v4 = Uint32Array.of((address & mask) >>> 0, (address | ~mask) >>> 0);
  return { v4, v6: new Uint32Array(0) };
}

/** Ordered rules as packet filters have them: nested prefixes, few services, some rules for all. */
function ruleSet(next: (below: number) => number, count: number): Policy {
  const services = Array.from({ length: 100 }, () => {
    const first = next(60_000) + (next(3) === 0 ? POINT_UDP : 0);
    return [first, first + (next(2) === 0 ? 0 : next(5000))];
  });
  const lists: AddressRanges[] = [];
  const rules: Rule[] = [];
  for (let i = 0; i < count; i++) {
    const length = [0, 8, 12, 16, 20, 24, 28, 32][next(8)]!;
    const ports = length >= 20 && next(5) === 0 ? 'any' : services[next(services.length)]!;
    const action = next(2) === 0 ? 'allow' : 'drop';
    if (length === 0) rules.push(rule(action, 'any', ports));
    else
      rules.push(rule(action, [lists.push(prefix(0x0a000000 + next(1 << 26), length)) - 1], ports));
  }
  const named = lists.map((ranges, i) => list(`list${i}`, ranges));
  return policyOf(named, [cgroupPolicy('web', { egress: direction('drop', ...rules) })]);
}

/** Compares both on packets; gives how many different rules decided. */
function compare(policy: Policy, packets: Iterable<Packet>): number {
  const { tables, names } = compile(policy, new Map());
  const deciders = new Set<number>();
  for (const packet of packets) {
    const { direction, family, words, point } = packet;
    const rule = verdictOf(tables, packet.policy + 1, direction, family, words, point);
    const { kind, index } = names.rules[rule]!;
    const found = kind === 'rule' ? index : kind;
    const wanted = decide(policy, packet);
    if (found !== wanted) throw new Error(`${JSON.stringify(packet)}: ${found}, and not ${wanted}`);
    deciders.add(rule);
  }
  return deciders.size;
}

t.test(
  '10,000 ordered rules, thousands of which overlap a packet, decide as the reference does',
  async (t) => {
    const next = random(seed);
    const policy = ruleSet(next, 10_000);
    const packets = Array.from({ length: 3000 }, () => ({
      policy: 0,
      direction: 'egress' as const,
      family: 4 as const,
      words: [0x0a000000 + next(1 << 26)],
      point: [next(65536), POINT_UDP + next(65536), POINT_PROTO + 6, POINT_PROTO + 47][next(4)]!,
    }));
    const deciders = compare(policy, packets);
    t.comment(`seed ${seed}: ${deciders} rules decided`);
    t.ok(deciders > 50);
  },
);

t.test('a list of a million prefixes decides as the reference does', async (t) => {
  const next = random(seed);
  const v4 = new Uint32Array(2_000_000);
  for (let i = 0; i < v4.length; i += 2) {
    v4.set(prefix(next(2 ** 32), [20, 24, 28, 32, 32, 32][next(6)]!).v4, i);
  }
  const feed = mergeRanges({ v4, v6: new Uint32Array(0) });
  const egress = direction('allow', rule('drop', [0], 'any'));
  const policy = policyOf([list('feed', feed)], [cgroupPolicy('web', { egress })]);
  const packets = Array.from({ length: 20_000 }, () => ({
    policy: 0,
    direction: 'egress' as const,
    family: 4 as const,
    words: [(feed.v4[next(feed.v4.length)]! + next(3) - 1) >>> 0],
    point: 443,
  }));
  t.equal(compare(policy, packets), 2);
});
