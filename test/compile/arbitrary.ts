// Random resolved policies, as nasty as they come, and random packets near their edges.

import fc from 'fast-check';
import { POINT_ICMP, POINT_ICMPV6, POINT_PROTO, POINT_UDP, POINTS } from '../../src/abi/points.js';
import { mergeRanges, type AddressRanges } from '../../src/base/ranges.js';
import type {
  AddressList,
  CgroupPolicy,
  InterfacePolicy,
  Direction,
  Policy,
} from '../../src/policy/policy.js';
import type { Packet } from './reference.js';

/** One range of either family: first and last, most significant word first. */
type Range = readonly [first: readonly number[], last: readonly number[]];

const BASES4 = [
  0, 0x0a000000, 0x0a00ff00, 0x0a010000, 0x7fffffff, 0x80000000, 0xfffeffff, 0xffffffff,
];
const LENGTHS4 = [0, 1, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 30, 31, 32];
const BASES6 = [
  [0, 0, 0, 0],
  [0, 0, 0xffff, 0x0a000001],
  [0x20010db8, 0, 0, 0],
  [0x20010db8, 0, 0xffffffff, 0xffffffff],
  [0x20010db8, 1, 0, 0],
  [0x20010db8, 0xffffffff, 0xffffffff, 0xffffffff],
  [0x20010db9, 0, 0, 1],
  [0x7fffffff, 0xffffffff, 0xffffffff, 0xffffffff],
  [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
];
const LENGTHS6 = [
  0, 1, 3, 15, 16, 17, 24, 32, 33, 40, 47, 48, 56, 63, 64, 65, 72, 96, 112, 127, 128,
];

const word = fc.oneof(
  fc.constantFrom(0, 1, 0xff, 0xffff, 0x10000, 0xfffffffe, 0xffffffff),
  fc.nat(0xffffffff),
);
const address4 = fc.oneof(
  fc.constantFrom(...BASES4).map((base) => [base]),
  word.map((w) => [w]),
);
const address6 = fc.oneof(
  fc.constantFrom(...BASES6),
  fc.tuple(fc.constantFrom(0x20010db8, 0xfe800000), word, word, word),
);

function prefix(address: readonly number[], length: number): Range {
  const masks = address.map((_, i) => maskOf(Math.max(0, Math.min(32, length - i * 32))));
  return [
    address.map((w, i) => (w & masks[i]!) >>> 0),
    address.map((w, i) => (w | ~masks[i]!) >>> 0),
  ];
}

function maskOf(bits: number): number {
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

function ordered(a: readonly number[], b: readonly number[]): Range {
  return BigInt(hex(a)) <= BigInt(hex(b)) ? [a, b] : [b, a];
}

function hex(words: readonly number[]): string {
  return `0x${words.map((w) => w.toString(16).padStart(8, '0')).join('')}`;
}

/** Many single addresses or small blocks in one place, so that chunks become crowded. */
function burst(base: readonly number[], at: number, count: number, stride: number): Range[] {
  return Array.from({ length: count }, (_, i) => {
    const first = base.map((w, j) => (j === at ? (w + i * stride) >>> 0 : w));
    return [first, first] as const;
  });
}

const some = <T>(one: fc.Arbitrary<T>, maxLength: number) => fc.array(one, { maxLength });
const count = fc.oneof(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 60, max: 300 }));
const stride = fc.constantFrom(2, 3, 16, 256, 257, 4096, 65536, 1 << 24);

const ranges4: fc.Arbitrary<Range[]> = fc
  .tuple(
    some(
      fc.tuple(address4, fc.constantFrom(...LENGTHS4)).map(([a, n]) => prefix(a, n)),
      6,
    ),
    some(
      fc.tuple(address4, address4).map(([a, b]) => ordered(a, b)),
      1,
    ),
    some(
      fc.tuple(address4, count, stride).map(([a, n, s]) => burst(a, 0, n, s)),
      1,
    ),
  )
  .map(([prefixes, spans, bursts]) => [...prefixes, ...spans, ...bursts.flat()]);

const ranges6: fc.Arbitrary<Range[]> = fc
  .tuple(
    some(
      fc.tuple(address6, fc.constantFrom(...LENGTHS6)).map(([a, n]) => prefix(a, n)),
      6,
    ),
    some(
      fc.tuple(address6, address6).map(([a, b]) => ordered(a, b)),
      1,
    ),
    some(
      fc.tuple(address6, fc.nat(3), count, stride).map(([a, w, n, s]) => burst(a, w, n, s)),
      2,
    ),
  )
  .map(([prefixes, spans, bursts]) => [...prefixes, ...spans, ...bursts.flat()]);

/** Canonical ranges of both families. */
export const arbitraryRanges: fc.Arbitrary<AddressRanges> = fc
  .tuple(ranges4, ranges6)
  .map(([v4, v6]) =>
    mergeRanges({ v4: Uint32Array.from(v4.flat(2)), v6: Uint32Array.from(v6.flat(2)) }),
  );

const PROTOCOLS = [1, 6, 17, 47, 58, 132].map((protocol) => POINT_PROTO + protocol);
const EDGES = [
  0,
  1,
  80,
  443,
  65535,
  POINT_UDP,
  POINT_UDP + 53,
  POINT_ICMP,
  POINT_ICMP + 8,
  POINT_ICMPV6,
  POINT_ICMPV6 + 255,
];
const point = fc.oneof(fc.constantFrom(...EDGES, ...PROTOCOLS, POINTS - 1), fc.nat(POINTS - 1));

/** Pairs on the axis, sorted and disjoint; some reach over the border of a protocol. */
const arbitraryServices: fc.Arbitrary<Uint32Array | 'any'> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('any' as const) },
  {
    weight: 4,
    arbitrary: fc
      .array(fc.tuple(point, fc.oneof(fc.constantFrom(0, 1, 255, 65535), fc.nat(2000))), {
        minLength: 1,
        maxLength: 4,
      })
      .map(
        (pairs) =>
          mergeRanges({
            v4: Uint32Array.from(
              pairs.flatMap(([first, length]) => [first, Math.min(POINTS - 1, first + length)]),
            ),
            v6: new Uint32Array(0),
          }).v4,
      ),
  },
);

const log = fc.constantFrom('none', 'denied', 'new', 'all');

function arbitraryDirection(
  lists: number,
  maxRules: number,
  action: fc.Arbitrary<'allow' | 'drop' | 'reject'>,
): fc.Arbitrary<Direction> {
  const indices = fc
    .uniqueArray(fc.nat(lists - 1), { minLength: 1, maxLength: 3 })
    .map((chosen) => chosen.sort((a, b) => a - b));
  const rule = fc.record({
    action,
    log,
    lists: fc.oneof(
      { weight: 1, arbitrary: fc.constant('any' as const) },
      { weight: 4, arbitrary: indices },
    ),
    services: arbitraryServices,
  });
  return fc
    .record({ default: action, rules: fc.array(rule, { maxLength: maxRules }) })
    .map((direction) => ({
      isDeclared: true,
      default: direction.default,
      defaultLine: 1,
      rules: direction.rules.map((each, index) => ({ ...each, index, line: 1, summary: 'a rule' })),
    }));
}

/** Whole policies with a few lists that overlap and nest; `maxRules` in each direction. */
export function arbitraryPolicy(maxRules = 12): fc.Arbitrary<Policy> {
  return fc.array(arbitraryRanges, { minLength: 1, maxLength: 5 }).chain((ranges) => {
    const lists: AddressList[] = ranges.map((each, i) => ({ name: `list${i}`, ranges: each }));
    const own: fc.Arbitrary<Omit<CgroupPolicy, 'name'>> = fc.record({
      line: fc.constant(1),
      cgroups: fc.constant(['demo']),
      mode: fc.constantFrom('enforce', 'audit'),
      log,
      raw: fc.constantFrom('allow', 'deny'),
      accelerate: fc.boolean(),
      egress: arbitraryDirection(
        lists.length,
        maxRules,
        fc.constantFrom('allow', 'drop', 'reject'),
      ),
      ingress: arbitraryDirection(lists.length, maxRules, fc.constantFrom('allow', 'drop')),
    });
    const ofInterface: fc.Arbitrary<Omit<InterfacePolicy, 'name'>> = fc.record({
      line: fc.constant(1),
      interfaces: fc.uniqueArray(fc.constantFrom('eth0', 'eth1', 'veth*', '*'), {
        minLength: 1,
        maxLength: 2,
      }),
      attach: fc.constantFrom('auto', 'native', 'generic'),
      log,
      ingress: arbitraryDirection(lists.length, maxRules, fc.constantFrom('allow', 'drop')),
    });
    const both = fc.tuple(
      fc.array(own, { minLength: 1, maxLength: 3 }),
      fc.array(ofInterface, { maxLength: 2 }),
    );
    return both.map(([policies, interfaces]) => ({
      text: 'version: 1\n',
      origin: '/etc/cgfw/policy.yaml',
      hash: '0'.repeat(64),
      lists,
      policies: policies.map((each, i) => ({ name: `policy${i}`, ...each })),
      interfaces: interfaces.map((each, i) => ({ name: `policy${i}`, ...each })),
    }));
  });
}

/** Packets for a policy, most of them on or beside a boundary of its lists and ports. */
export function arbitraryPacket(policy: Policy): fc.Arbitrary<Packet> {
  return fc
    .record({
      policy: fc.nat(policy.policies.length + policy.interfaces.length - 1),
      direction: fc.constantFrom('egress', 'ingress'),
      point: arbitraryPoint(policy),
      remote: fc.oneof(remote4(policy), remote6(policy)),
    })
    .map(({ remote, ...packet }) => ({
      ...packet,
      // Interfaces have no egress.
      direction: packet.policy < policy.policies.length ? packet.direction : 'ingress',
      ...remote,
    }));
}

type Remote = Pick<Packet, 'family' | 'words'>;

function remote4({ lists }: Policy): fc.Arbitrary<Remote> {
  const edges = lists.flatMap(({ ranges }) => [...ranges.v4]);
  const words = fc.oneof(
    ...(edges.length === 0
      ? []
      : [
          fc
            .tuple(fc.constantFrom(...edges), fc.integer({ min: -1, max: 1 }))
            .map(([edge, beside]) => [(edge + beside) >>> 0]),
        ]),
    address4,
  );
  return words.map((w) => ({ family: 4, words: w }));
}

function remote6({ lists }: Policy): fc.Arbitrary<Remote> {
  const edges = lists.flatMap(({ ranges: { v6 } }) =>
    Array.from({ length: v6.length / 4 }, (_, i) => [...v6.subarray(i * 4, i * 4 + 4)]),
  );
  const words = fc.oneof(
    ...(edges.length === 0
      ? []
      : [
          fc
            .tuple(fc.constantFrom(...edges), fc.integer({ min: -1, max: 1 }))
            .map(([edge, beside]) => addTo(edge, beside)),
        ]),
    address6,
  );
  return words.map((w) => ({ family: 6, words: w }));
}

function addTo(words: readonly number[], step: number): number[] {
  const sum = BigInt.asUintN(128, BigInt(hex(words)) + BigInt(step));
  return [96n, 64n, 32n, 0n].map((shift) => Number((sum >> shift) & 0xffffffffn));
}

function arbitraryPoint({ policies }: Policy): fc.Arbitrary<number> {
  const edges = policies
    .flatMap(({ egress, ingress }) => [...egress.rules, ...ingress.rules])
    .flatMap(({ services }) => (services === 'any' ? [] : [...services]));
  if (edges.length === 0) return point;
  const beside = fc
    .tuple(fc.constantFrom(...edges), fc.integer({ min: -1, max: 1 }))
    .map(([edge, step]) => Math.min(POINTS - 1, Math.max(0, edge + step)));
  return fc.oneof(beside, fc.constantFrom(...PROTOCOLS), point);
}
