// The packet parser and the whole programs by test run: packets that no kernel would deliver.

import fc from 'fast-check';
import { join } from 'node:path';
import t from 'tap';
import { capacity as capacityAt } from '../../src/abi/layout.gen.js';
import {
  POINT_ICMP,
  POINT_ICMPV6,
  POINT_PROTO,
  POINT_SCTP,
  POINT_TCP,
  POINT_UDP,
} from '../../src/abi/points.js';
import { readFaults } from '../../src/kernel/counters.js';
import { COUNTER_MAPS, TABLE_MAPS } from '../../src/kernel/maps.js';
import { openObject } from '../../src/kernel/native.js';
import type { BpfObject } from '../../src/kernel/native.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import type { LoadedSet } from '../../src/kernel/set.js';
import {
  ACK,
  extension,
  fragmentHeader,
  ipv4,
  ipv6,
  routingHeader,
  SYN,
  tcp,
  udp,
} from '../kernel/packets.js';
import { policyText } from '../kernel/traffic.js';
import { Sandbox } from '../kernel/sandbox.js';

const OBJECT = join(PACKAGE_ROOT, 'build/test-bpf/parser.bpf.o');

/** What the parser says about a packet that it can read. */
interface Parsed {
  readonly family: number;
  readonly protocol: number;
  readonly point: number;
  readonly source: readonly number[];
  readonly destination: readonly number[];
}

/** The test run wants a frame; what precedes the IP header says which family it claims to be. */
function frame(family: 4 | 6, packet: readonly number[]): Uint8Array {
  return Uint8Array.from([
    ...Array<number>(12).fill(0),
    ...(family === 4 ? [0x08, 0x00] : [0x86, 0xdd]),
    ...packet,
  ]);
}

// ------------------------------------------------------------ the reference

const UNREADABLE = null;
const EXTENSIONS = [0, 43, 44, 51, 60, 135, 139, 140];
const PORTS = new Map([
  [6, POINT_TCP],
  [17, POINT_UDP],
  [132, POINT_SCTP],
]);
const TYPES = new Map([
  [1, POINT_ICMP],
  [58, POINT_ICMPV6],
]);
const FARTHEST = 1024;

function reference(family: 4 | 6, packet: readonly number[]): Parsed | null {
  const has = (offset: number, count: number): boolean =>
    offset <= FARTHEST && offset + count <= packet.length;
  const u16 = (offset: number): number => packet[offset]! * 256 + packet[offset + 1]!;
  const words = (offset: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => u16(offset + 4 * i) * 65536 + u16(offset + 4 * i + 2));

  const first = family === 4 ? { size: 20, version: 4 } : { size: 40, version: 6 };
  if (!has(0, first.size) || packet[0]! >> 4 !== first.version) return UNREADABLE;
  const ends =
    family === 4
      ? { source: words(12, 1), destination: words(16, 1) }
      : { source: words(8, 4), destination: words(24, 4) };
  const portless = (protocol: number): Parsed => ({
    family,
    protocol,
    point: POINT_PROTO + protocol,
    ...ends,
  });

  function transport(protocol: number, offset: number): Parsed | null {
    const ports = PORTS.get(protocol);
    const types = TYPES.get(protocol);
    if (ports !== undefined) {
      if (!has(offset, 4) || (protocol === 6 && !has(offset + 13, 1))) return UNREADABLE;
      return { ...portless(protocol), point: ports + u16(offset + 2) };
    }
    if (types === undefined) return portless(protocol);
    return has(offset, 8) ? { ...portless(protocol), point: types + packet[offset]! } : UNREADABLE;
  }

  if (family === 4) {
    const end = (packet[0]! & 15) * 4;
    if (end < 20 || !areOptionsDone(packet, end)) return UNREADABLE;
    return (u16(6) & 0x1fff) !== 0 ? portless(packet[9]!) : transport(packet[9]!, end);
  }
  let next = packet[6]!;
  let offset = 40;
  for (let headers = 0; EXTENSIONS.includes(next); headers++) {
    if (headers === 8 || !has(offset, 4)) return UNREADABLE;
    const here = next;
    next = packet[offset]!;
    if (here === 44) {
      if ((u16(offset + 2) & 0xfff8) !== 0)
        return EXTENSIONS.includes(next) ? UNREADABLE : portless(next);
      offset += 8;
    } else if (here === 43 && packet[offset + 3] !== 0) return UNREADABLE;
    else if (here === 51) offset += (packet[offset + 1]! + 2) * 4;
    else offset += (packet[offset + 1]! + 1) * 8;
  }
  return transport(next, offset);
}

/** No source route that goes on; at most ten options. */
function areOptionsDone(packet: readonly number[], end: number): boolean {
  let offset = 20;
  for (let count = 0; offset < end; count++) {
    if (count === 10 || offset >= packet.length) return false;
    const type = packet[offset]!;
    if (type === 0) return true;
    if (type === 1) {
      offset++;
      continue;
    }
    if (offset + 3 > packet.length) return false;
    const [length, pointer] = [packet[offset + 1]!, packet[offset + 2]!];
    if (length < 2 || ((type === 131 || type === 137) && pointer <= length)) return false;
    offset += length;
  }
  return true;
}

// ---------------------------------------------------------------- the cases

const ENDS = { source: '192.0.2.1', destination: '198.51.100.7' };
const ENDS6 = { source: '2001:db8::1', destination: '2001:db8:1::2:3' };
const byte = fc.nat(255);
const bytes = (maxLength: number): fc.Arbitrary<number[]> => fc.array(byte, { maxLength });
const protocol = fc.oneof(fc.constantFrom(1, 6, 17, 47, 50, 58, 59, 132, 253, ...EXTENSIONS), byte);
const payload = fc.oneof(
  bytes(40),
  fc.constant(udp(ENDS, { from: 1234, to: 53 }, [1, 2, 3])),
  fc.constant(tcp(ENDS, { from: 1234, to: 443 }, 2)),
);
const option = fc.oneof(
  fc.constantFrom(
    [1],
    [0],
    [131, 7, 4, 1, 2, 3, 4],
    [131, 7, 8, 1, 2, 3, 4],
    [137, 3, 4],
    [68, 4, 5, 0],
    [148, 4, 0, 0],
  ),
  bytes(5),
);
const options = fc.array(option, { maxLength: 12 }).map((each) => each.flat().slice(0, 40));
const packet4 = fc
  .record({
    protocol,
    payload,
    options,
    fragment: fc.constantFrom(0, 0, 0x2000, 0x4000, 1, 0x1fff, 0x3001),
  })
  .map((fields) => ipv4({ ...ENDS, ...fields }));

const step = fc.oneof(
  fc
    .constantFrom(0, 60, 135, 139, 140)
    .map((kind) => ({ kind, make: (next: number) => extension(next) })),
  fc.nat(40).map((more) => ({ kind: 60, make: (next: number) => extension(next, more) })),
  fc
    .constantFrom(0, 0, 1, 185)
    .map((offset) => ({ kind: 44, make: (next: number) => fragmentHeader(next, offset) })),
  fc.constantFrom(0, 0, 1).map((left) => ({
    kind: 43,
    make: (next: number) => routingHeader(next, left, '2001:db8::9'),
  })),
  fc.constant({ kind: 51, make: (next: number) => [next, 4, ...Array<number>(22).fill(0)] }),
);
const packet6 = fc
  .record({ steps: fc.array(step, { maxLength: 11 }), protocol, payload })
  .map(({ steps, ...last }) => {
    const kinds = [...steps.map(({ kind }) => kind), last.protocol];
    const chain = steps.flatMap(({ make }, i) => make(kinds[i + 1]!));
    return ipv6({ ...ENDS6, next: kinds[0]!, payload: [...chain, ...last.payload] });
  });

/** A test run refuses packets without a whole IP header, and so does every way into the kernel. */
const SHORTEST = { 4: 20, 6: 40 };

interface Case {
  readonly family: 4 | 6;
  readonly packet: readonly number[];
}

/** Packets, and the same cut short or with bytes changed. */
const spoiled = (built: fc.Arbitrary<Case>): fc.Arbitrary<Case> =>
  fc
    .record({
      built,
      cut: fc.oneof(
        { weight: 3, arbitrary: fc.constant(1) },
        fc.double({ min: 0, max: 1, noNaN: true }),
      ),
      changes: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        fc.array(fc.tuple(fc.nat(80), byte), { maxLength: 4 }),
      ),
    })
    .map(({ built, cut, changes }) => {
      const least = SHORTEST[built.family];
      const whole = [
        ...built.packet,
        ...Array<number>(Math.max(0, least - built.packet.length)).fill(0x45),
      ];
      const packet = whole.slice(0, Math.max(least, Math.ceil(whole.length * cut)));
      for (const [at, value] of changes) if (at < packet.length) packet[at] = value;
      return { ...built, packet };
    });

/** Well-formed packets, spoiled ones and noise. */
const arbitraryCase = spoiled(
  fc.oneof(
    packet4.map((packet): Case => ({ family: 4, packet })),
    packet6.map((packet): Case => ({ family: 6, packet })),
    fc.record({ family: fc.constantFrom(4 as const, 6 as const), packet: bytes(120) }),
  ),
);

/** What the quick way is made for, or nearly so. */
const plainCase = spoiled(
  fc
    .record({
      family: fc.constantFrom(4 as const, 6 as const),
      protocol: fc.constantFrom(6, 17),
      flags: byte,
      to: fc.constantFrom(53, 443),
    })
    .map(({ family, protocol, flags, to }) => {
      const ends = family === 4 ? ENDS : ENDS6;
      const ports = { from: 1234, to };
      const payload = protocol === 6 ? tcp(ends, ports, flags) : udp(ends, ports, [1, 2, 3]);
      const packet =
        family === 4
          ? ipv4({ ...ends, protocol, payload })
          : ipv6({ ...ends, next: protocol, payload });
      return { family, packet };
    }),
);

const seed = Number(process.env['CGFW_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** The test object on the tables of the loaded set. */
async function loadOn(set: LoadedSet): Promise<BpfObject> {
  const object = openObject(OBJECT);
  const capacity = new DataView(new ArrayBuffer(capacityAt.size));
  for (const table of TABLE_MAPS) capacity.setUint32(capacityAt[table], set.capacity[table], true);
  object.setRodata(new Uint8Array(capacity.buffer));
  for (const table of TABLE_MAPS) object.setMaxEntries(table, 2 * set.capacity[table]);
  for (const counters of COUNTER_MAPS) object.setMaxEntries(counters, set.capacity.counters);
  for (const [name, map] of Object.entries(set.maps)) object.reuseMap(name, map);
  await object.load();
  return object;
}

async function prepare(
  t: { teardown: (end: () => Promise<void>) => void },
  policy: object,
): Promise<{ object: BpfObject; set: LoadedSet }> {
  const box = new Sandbox();
  const close: (() => void)[] = [];
  t.teardown(async () => {
    for (const end of close) end();
    await box.close();
  });
  await box.apply(
    policyText([{ name: 'web', cgroups: [box.cgroup('web')], log: 'none', ...policy }]),
  );
  const set = openCurrentSet(box.place.pinRoot)!;
  close.push(() => set.close());
  const object = await loadOn(set);
  close.push(() => object.close());
  return { object, set };
}

t.test('the parser reads what the reference reads, and nothing else', async (t) => {
  t.comment(`CGFW_TEST_SEED=${String(seed)}`);
  const { object } = await prepare(t, {});
  const program = object.program('parse_only');
  const map = object.map('parsed');
  const zero = new Uint8Array(4);
  const parse = ({ family, packet }: Case): Parsed | null => {
    program.testRun({ data: frame(family, packet) });
    const bytes = map.lookup(zero)!;
    const answer = new DataView(bytes.buffer, bytes.byteOffset);
    if (answer.getInt32(0, true) !== 0) return UNREADABLE;
    const u32 = (offset: number): number => answer.getUint32(4 + offset, true);
    const words = (offset: number): number[] =>
      family === 4 ? [u32(offset)] : [0, 4, 8, 12].map((i) => u32(offset + i));
    return {
      family: u32(32),
      protocol: answer.getUint8(4 + 54),
      point: u32(40),
      source: words(0),
      destination: words(16),
    };
  };
  const seen = { read: 0, unreadable: 0 };
  for (const one of fc.sample(arbitraryCase, { numRuns: 20_000, seed })) {
    const expected = reference(one.family, one.packet);
    const found = parse(one);
    seen[found === UNREADABLE ? 'unreadable' : 'read']++;
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      t.same(found, expected, Buffer.from(one.packet).toString('hex'));
      return;
    }
  }
  t.comment(JSON.stringify(seen));
  t.ok(seen.read > 2000 && seen.unreadable > 2000);
});

for (const byDefault of ['reject', 'allow'] as const) {
  t.test(
    `whatever comes under default ${byDefault}, it is decided and counted, and never leads outside the tables`,
    async (t) => {
      const { object, set } = await prepare(t, {
        egress: {
          default: byDefault,
          rules: [
            { action: byDefault === 'allow' ? 'reject' : 'allow', to: 'any', ports: [53, 443] },
          ],
        },
        ingress: { default: byDefault === 'allow' ? 'allow' : 'drop' },
      });
      const before = readFaults(set);
      let unreadable = 0;
      const wrong: unknown[] = [];
      for (const one of fc.sample(arbitraryCase, { numRuns: 5000, seed })) {
        const parsed = reference(one.family, one.packet);
        for (const hook of ['egress', 'ingress'] as const) {
          const { retval } = object.program(hook).testRun({ data: frame(one.family, one.packet) });
          if (parsed !== UNREADABLE) continue;
          unreadable++;
          if (retval !== (byDefault === 'allow' ? 1 : 0))
            wrong.push({ hook, retval, packet: Buffer.from(one.packet).toString('hex') });
        }
      }
      t.same(wrong, [], 'what cannot be read is treated as the default says');
      const after = readFaults(set);
      t.equal(after.table, 0);
      t.ok(after.unparsable - before.unparsable >= unreadable, `${String(unreadable)} unreadable`);
    },
  );
}

t.test('the quick way', async (t) => {
  const { object } = await prepare(t, {
    egress: { default: 'allow', rules: [{ action: 'drop', to: 'any', ports: [53] }] },
  });
  const run = (name: string, { family, packet }: Case): number =>
    object.program(name).testRun({ data: frame(family, packet) }).retval;

  await t.test('has no answer but for TCP and UDP in fixed places, and no SYN', async (t) => {
    const query = udp(ENDS, { from: 1234, to: 123 }, [1, 2, 3]);
    const segment = (flags: number): number[] => tcp(ENDS, { from: 1234, to: 443 }, flags);
    const four = (protocol: number, payload: number[], more: object = {}): Case => ({
      family: 4,
      packet: ipv4({ ...ENDS, protocol, payload, ...more }),
    });
    const six = (next: number, payload: number[]): Case => ({
      family: 6,
      packet: ipv6({ ...ENDS6, next, payload }),
    });
    for (const [what, packet, answer] of [
      ['UDP over IPv4', four(17, query), 1],
      ['TCP over IPv4', four(6, segment(ACK)), 1],
      ['UDP over IPv6', six(17, query), 1],
      ['TCP over IPv6', six(6, segment(ACK)), 1],
      ['the first fragment', four(17, query, { fragment: 0x2000 }), 1],
      ['a later fragment', four(17, query, { fragment: 1 }), 0],
      ['four NOPs', four(17, query, { options: [1, 1, 1, 1] }), 0],
      ['four NOPs before TCP', four(6, segment(ACK), { options: [1, 1, 1, 1] }), 0],
      ['hop-by-hop options', six(0, [...extension(17), ...query]), 0],
      ['destination options', six(60, [...extension(6), ...segment(ACK)]), 0],
      ['a SYN', four(6, segment(SYN)), 0],
      ['the answer to a SYN', six(6, segment(SYN | ACK)), 0],
      ['ICMP', four(1, [8, 0, 0, 0, 0, 0, 0, 0]), 0],
      ['what is denied', four(17, udp(ENDS, { from: 1234, to: 53 })), 0],
    ] as const) {
      t.equal(run('quick_only', packet), answer, what);
    }
  });

  await t.test('lets nothing pass that the whole way stops', async (t) => {
    t.comment(`CGFW_TEST_SEED=${String(seed)}`);
    let passed = 0;
    for (const one of fc.sample(fc.oneof(plainCase, arbitraryCase), {
      numRuns: 10_000,
      seed,
    })) {
      if (run('quick_only', one) === 0) continue;
      passed++;
      if (run('whole_only', one) !== 1) {
        t.fail(Buffer.from(one.packet).toString('hex'));
        return;
      }
    }
    t.ok(passed > 1000, `${String(passed)} packets`);
  });
});
