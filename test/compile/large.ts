// Policies as large as the product promises to take, with a reference that shares
// nothing with the compiler: prefixes by their length, rules one after the other.

import { mergeRanges } from '../../src/base/ranges.js';
import { POINT_ICMP, POINT_ICMPV6, POINT_PROTO, POINT_UDP } from '../../src/abi/points.js';
import { parseNetset } from '../../src/policy/netset.js';
import type { AddressList, DirectionName, Policy, Rule } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, list, policyOf, rule } from './build.js';
import { drawPrefixes, edgeOf, lastOf, memberOf, PrefixBag, prefixOf, textOf } from './prefixes.js';
import type { Prefix, Random } from './prefixes.js';
import { decide } from './reference.js';
import type { Decider, Packet } from './reference.js';

export interface Large {
  readonly policy: Policy;
  /** What the meaning of the policy says. */
  readonly decide: (packet: Packet) => Decider;
  /** Packets to and from random addresses, members, and the edges of prefixes. */
  readonly packets: (count: number) => Packet[];
}

/** As a list, without a look at the order. */
function listOf(name: string, prefixes: readonly Prefix[]): AddressList {
  const words = (family: 4 | 6): Uint32Array => {
    const own = prefixes.filter((prefix) => prefix.family === family);
    const size = family === 4 ? 1 : 4;
    const raw = new Uint32Array(own.length * 2 * size);
    own.forEach((prefix, i) => {
      raw.set(prefix.words, 2 * i * size);
      raw.set(lastOf(prefix), (2 * i + 1) * size);
    });
    return raw;
  };
  return list(name, mergeRanges({ v4: words(4), v6: words(6) }));
}

const PORTS = [0, 22, 443, 8000, 65535];

function pointOf(next: Random): number {
  const port = next(2) === 0 ? PORTS[next(PORTS.length)]! : next(65536);
  const other = [POINT_PROTO + 6, POINT_PROTO + 47, POINT_ICMP + 8, POINT_ICMPV6 + 128];
  return [port, port, POINT_UDP + port, other[next(other.length)]!][next(4)]!;
}

function largeOf(
  policy: Policy,
  members: readonly (readonly Prefix[])[],
  next: Random,
  pointFrom: (next: Random) => number = pointOf,
): Large {
  const bags = members.map((prefixes) => new PrefixBag(prefixes));
  const address = (): number[] => {
    const prefixes = members[next(members.length)]!;
    const prefix = prefixes[next(prefixes.length)]!;
    const kind = next(4);
    if (kind === 0) return memberOf(next, prefixOf(prefix.words, 0));
    return kind === 1 ? memberOf(next, prefix) : edgeOf(next, prefix);
  };
  const packet = (): Packet => {
    const words = address();
    return {
      policy: next(policy.policies.length),
      direction: (['egress', 'ingress'] as const)[next(2)]! satisfies DirectionName,
      family: words.length === 1 ? 4 : 6,
      words,
      point: pointFrom(next),
    };
  };
  return {
    policy,
    decide: (packet) =>
      decide(policy, packet, (at, { family, words }) => bags[at]!.has(family, words)),
    packets: (count) => Array.from({ length: count }, packet),
  };
}

/** A set file of a million lines, read by the way of the product. */
export function millionPrefixes(next: Random, count = 1_000_000): Large {
  const prefixes = drawPrefixes(next, count);
  const text = new TextEncoder().encode(prefixes.map((prefix) => `${textOf(prefix)}\n`).join(''));
  const { ranges, entries, diagnostics } = parseNetset(text, 'feed.netset');
  if (entries !== count || diagnostics.length > 0) throw new Error(JSON.stringify(diagnostics));
  const web = cgroupPolicy('web', {
    egress: direction('allow', rule('drop', [0], 'any')),
    ingress: direction('drop', rule('allow', [0], [443, 8443])),
  });
  return largeOf(policyOf([list('feed', ranges)], [web]), [prefixes], next);
}

/** Ten sets of 100,000 out of 300,000 prefixes: most addresses are in several. */
export function tenSets(next: Random): Large {
  const pool = drawPrefixes(next, 300_000);
  const sets = Array.from({ length: 10 }, () =>
    Array.from({ length: 100_000 }, () => pool[next(pool.length)]!),
  );
  const rules = (shift: number): Rule[] =>
    sets.map((_, i) => {
      const action = (i + shift) % 2 === 0 ? 'drop' : 'allow';
      const lists = i % 3 === 0 ? [i, (i + shift) % 10] : [i];
      return rule(action, lists, i % 4 === 3 ? 'any' : [next(400), 443 + next(60_000)]);
    });
  const web = cgroupPolicy('web', {
    egress: direction('reject', ...rules(1)),
    ingress: direction('allow', ...rules(4).reverse()),
  });
  const lists = sets.map((prefixes, i) => listOf(`set${i}`, prefixes));
  return largeOf(policyOf(lists, [web]), sets, next);
}

/** Rules as packet filters have them: nested prefixes, few services, some rules for all. */
export function manyRules(next: Random, count = 10_000): Large {
  const services = Array.from({ length: 100 }, () => {
    const first = next(60_000) + (next(3) === 0 ? POINT_UDP : 0);
    return [first, first + (next(2) === 0 ? 0 : next(5000))];
  });
  const members: Prefix[][] = [];
  const rules = Array.from({ length: count }, () => {
    const size = next(8);
    const words =
      next(4) === 0 ? [0x20010db8, next(1 << 16), 0, next(256)] : [0x0a000000 + next(1 << 26)];
    const length = (
      words.length === 1 ? [0, 8, 12, 16, 20, 24, 28, 32] : [0, 32, 40, 48, 56, 64, 120, 128]
    )[size]!;
    const ports = size > 3 && next(5) === 0 ? 'any' : services[next(services.length)]!;
    const action = next(2) === 0 ? 'allow' : 'drop';
    if (length === 0) return rule(action, 'any', ports);
    return rule(action, [members.push([prefixOf(words, length)]) - 1], ports);
  });
  const lists = members.map((prefixes, i) => listOf(`list${i}`, prefixes));
  const web = cgroupPolicy('web', { egress: direction('drop', ...rules) });
  return largeOf(policyOf(lists, [web]), members, next, (next) => {
    const service = services[next(services.length)]!;
    return next(3) === 0 ? pointOf(next) : service[next(2)]! + next(2);
  });
}

export const OWN_PREFIXES = 50;

/** Each policy has 50 prefixes of its own, and all have one set of 100,000 in common. */
export function manyPolicies(next: Random, count: number): Large {
  const shared = drawPrefixes(next, 100_000);
  const own = Array.from({ length: count }, () => drawPrefixes(next, OWN_PREFIXES));
  const policies = own.map((_, i) =>
    cgroupPolicy(`p${i}`, {
      egress: direction('allow', rule('allow', [i + 1], [443, 443]), rule('drop', [0], 'any')),
      ingress: direction('drop', rule('allow', [i + 1], 'any')),
    }),
  );
  const members = [shared, ...own];
  const lists = members.map((prefixes, i) => listOf(i === 0 ? 'feed' : `own${i}`, prefixes));
  return largeOf(policyOf(lists, policies), members, next);
}
