// What rules of interfaces do to frames, natively and generically, counted exactly.

import t from 'tap';
import { ETHER, frame } from './frames.js';
import type { Ends } from './packets.js';
import {
  asText,
  extension,
  fragmentHeader,
  ipv4,
  ipv6,
  routingHeader,
  SYN,
  tcp,
  udp,
} from './packets.js';
import { Sandbox, until } from './sandbox.js';
import { countsOf, edge, HERE, statusOf, THERE, Wire } from './wire.js';

const V4 = { source: THERE.v4, destination: HERE.v4 };
const V6 = { source: THERE.v6, destination: HERE.v6 };
const OTHER4 = { source: '10.9.0.77', destination: HERE.v4 };
const OTHER6 = { source: 'fd00:9::77', destination: HERE.v6 };
const PORTS = { from: 4000, to: 9 };
const CLOSED = { from: 4000, to: 23 };

const tcp4 = (ends: Ends = V4, ports = PORTS): number[] =>
  ipv4({ ...ends, protocol: 6, payload: tcp(ends, ports, SYN) });
const udp4 = (ends: Ends = V4, ports = PORTS): number[] =>
  ipv4({ ...ends, protocol: 17, payload: udp(ends, ports) });
const udp6 = (ends: Ends = V6, ports = PORTS): number[] =>
  ipv6({ ...ends, next: 17, payload: udp(ends, ports) });
const later4 = ipv4({ ...V4, protocol: 17, fragment: 5, payload: [1, 2, 3, 4, 5, 6, 7, 8] });
const later6 = ipv6({
  ...V6,
  next: 44,
  payload: [...fragmentHeader(17, 5), 1, 2, 3, 4, 5, 6, 7, 8],
});
const first6 = ipv6({ ...V6, next: 44, payload: [...fragmentHeader(17, 0), ...udp(V6, CLOSED)] });
const behind = (headers: number): number[] => {
  const all = Array.from({ length: headers }, (_, i) =>
    extension(i === headers - 1 ? 17 : 60),
  ).flat();
  return ipv6({ ...V6, next: 60, payload: [...all, ...udp(V6, CLOSED)] });
};

/** A rule for the listener reports that IPv6 sends when it likes: not counted here. */
const NOISE = 'noise';

/** Frames, and the rule that counts each under RULES. */
const RULES = `
      rules:
        - {action: allow, from: "::", name: ${NOISE}}
        - {action: drop, from: [10.9.0.77, "fd00:9::77"], name: address}
        - {action: drop, from: any, ports: [23], name: port}
        - {action: allow, from: any, ports: [9], name: nine}`;

const CASES: readonly (readonly [what: string, rule: string, bytes: readonly number[]])[] = [
  ['TCP to a port that is allowed', 'nine', frame(ETHER.ipv4, tcp4())],
  ['UDP to a port that is allowed', 'nine', frame(ETHER.ipv4, udp4())],
  ['UDP over IPv6', 'nine', frame(ETHER.ipv6, udp6())],
  ['a source address over IPv4', 'address', frame(ETHER.ipv4, udp4(OTHER4))],
  ['a source address over IPv6', 'address', frame(ETHER.ipv6, udp6(OTHER6))],
  ['the destination port, over IPv4', 'port', frame(ETHER.ipv4, tcp4(V4, CLOSED))],
  ['the destination port, over IPv6', 'port', frame(ETHER.ipv6, udp6(V6, CLOSED))],
  ['the source port means nothing', 'nine', frame(ETHER.ipv4, udp4(V4, { from: 23, to: 9 }))],
  ['a port that no rule names', 'default', frame(ETHER.ipv4, udp4(V4, { from: 1, to: 10 }))],
  ['a VLAN tag', 'port', frame(ETHER.ipv4, udp4(V4, CLOSED), [7])],
  ['a VLAN tag, IPv6', 'port', frame(ETHER.ipv6, udp6(V6, CLOSED), [7])],
  ['two tags', 'port', frame(ETHER.ipv4, udp4(V4, CLOSED), [7, 8])],
  ['two tags, IPv6', 'nine', frame(ETHER.ipv6, udp6(), [7, 8])],
  ['three tags are not looked behind', 'unparsable', frame(ETHER.ipv4, udp4(), [7, 8, 9])],
  [
    'IPv4 options',
    'port',
    frame(
      ETHER.ipv4,
      ipv4({ ...V4, protocol: 17, options: [1, 1, 1, 1], payload: udp(V4, CLOSED) }),
    ),
  ],
  [
    'a source route that goes on',
    'unparsable',
    frame(
      ETHER.ipv4,
      ipv4({ ...V4, protocol: 17, options: [131, 7, 4, 10, 0, 0, 1], payload: udp(V4, CLOSED) }),
    ),
  ],
  ['an extension header', 'port', frame(ETHER.ipv6, behind(1))],
  ['eight extension headers', 'port', frame(ETHER.ipv6, behind(8))],
  ['nine extension headers are too many', 'unparsable', frame(ETHER.ipv6, behind(9))],
  ['an extension header behind two tags', 'port', frame(ETHER.ipv6, behind(2), [7, 8])],
  [
    'a routing header with segments left',
    'unparsable',
    frame(
      ETHER.ipv6,
      ipv6({ ...V6, next: 43, payload: [...routingHeader(17, 1, HERE.v6), ...udp(V6, PORTS)] }),
    ),
  ],
  ['the first fragment shows its port', 'port', frame(ETHER.ipv6, first6)],
  ['a later fragment, where a port decides', 'unparsable', frame(ETHER.ipv4, later4)],
  ['a later fragment over IPv6', 'unparsable', frame(ETHER.ipv6, later6)],
  [
    'a later fragment of an address',
    'address',
    frame(ETHER.ipv4, ipv4({ ...OTHER4, protocol: 17, fragment: 5, payload: [1] })),
  ],
  ['a cut IPv4 header', 'unparsable', frame(ETHER.ipv4, udp4().slice(0, 12))],
  ['a cut UDP header', 'unparsable', frame(ETHER.ipv4, udp4().slice(0, 22))],
  ['a cut TCP header', 'unparsable', frame(ETHER.ipv4, tcp4().slice(0, 30))],
  ['a cut IPv6 header', 'unparsable', frame(ETHER.ipv6, udp6().slice(0, 30))],
  ['a cut tag', 'unparsable', frame(ETHER.vlan, [0])],
  [
    'a lie about the version',
    'unparsable',
    frame(ETHER.ipv4, ipv4({ ...V4, protocol: 17, version: 6, payload: udp(V4, PORTS) })),
  ],
  [
    'ICMP',
    'default',
    frame(ETHER.ipv4, ipv4({ ...V4, protocol: 1, payload: [13, 0, 0, 0, 0, 0, 0, 0] })),
  ],
  [
    'a protocol without ports',
    'default',
    frame(ETHER.ipv4, ipv4({ ...V4, protocol: 47, payload: [0, 0, 0, 0] })),
  ],
];

for (const attach of ['native', 'generic']) {
  for (const fallback of ['drop', 'allow']) {
    t.test(`frames in ${attach} mode where the default is ${fallback}`, async (t) => {
      const box = new Sandbox();
      const wire = new Wire();
      t.teardown(async () => {
        await box.close();
        wire.close();
      });
      const sender = await wire.sender(box);
      await box.apply(edge(`\n      default: ${fallback}${RULES}`, { attach }));
      t.match((await statusOf(box)).interfaces, [
        { name: 'wire', policy: 'edge', mode: attach, state: 'attached' },
      ]);
      let before = await countsOf(box);
      for (const [what, rule, bytes] of CASES) {
        const { faults } = await statusOf(box);
        await sender.do('send', asText(bytes));
        const after = await countsOf(box);
        const changed = Object.keys({ ...before, ...after }).filter(
          (name) => name !== NOISE && after[name] !== before[name],
        );
        t.same(changed, [rule], what);
        t.equal((after[rule] ?? 0) - (before[rule] ?? 0), 1, `${what}: once`);
        const unparsable =
          ((await statusOf(box)).faults['unparsable'] ?? 0) - (faults['unparsable'] ?? 0);
        t.equal(unparsable, rule === 'unparsable' ? 1 : 0, `${what}: counted as unreadable or not`);
        before = after;
      }
    });
  }
}

t.test('what is allowed arrives, what is denied does not', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const outside = wire.puppet(box);
  const inside = wire.local(box);
  for (const [family, here] of [
    ['AF_INET', HERE.v4],
    ['AF_INET6', HERE.v6],
  ] as const) {
    const server = await inside.socket(family, 'SOCK_DGRAM');
    await server.do('bind', [here, 0]);
    const port = await server.port();
    const client = await outside.socket(family, 'SOCK_DGRAM');
    for (const attach of ['native', 'generic']) {
      const deny = edge(
        `{default: allow, rules: [{action: drop, from: any, ports: [${String(port)}/udp]}]}`,
        { attach },
      );
      await box.apply(deny);
      await client.do('sendto', { bytes: 'dropped' }, [here, port]);
      t.equal((await countsOf(box))['0'], 1, `${family} ${attach}: dropped and counted`);
      await box.apply(
        edge('{default: drop, rules: [{action: allow, from: any, ports: [udp, icmpv6]}]}', {
          attach,
        }),
      );
      await client.do('sendto', { bytes: 'passed' }, [here, port]);
      t.equal(
        await server.do('recv', 64),
        'passed',
        `${family} ${attach}: only the second arrives`,
      );
      await box.cgfw('down');
    }
  }
});

t.test('frames that are not IP pass, whatever the default, and are counted', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const listener = await wire.local(box).socket('AF_PACKET', 'SOCK_RAW', 0x0300);
  await listener.do('bind', ['wire', 0x88cc]);
  const sender = await wire.sender(box);
  await box.apply(edge('{default: drop}'));
  const before = (await statusOf(box)).frames.notIp;
  const lldp = frame(ETHER.lldp, [2, 7, 4, 1, 2, 3]);
  await sender.do('send', asText(lldp));
  t.equal(await listener.do('recv', 64), asText(lldp).bytes);
  await sender.do('send', asText(frame(ETHER.arp, Array<number>(28).fill(0), [7])));
  t.equal((await statusOf(box)).frames.notIp - before, 2);
  t.equal((await countsOf(box))['unparsable'], undefined, 'no rule counts them');
});

t.test('an event says what was decided, and on which interface', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const sender = await wire.sender(box);
  await box.apply(
    edge(
      '{default: allow, rules: [{action: drop, from: 10.9.0.2, ports: [23/tcp], name: telnet}]}',
    ),
  );
  const seen: Record<string, unknown>[] = [];
  const stop = box.follow((event) => void seen.push(event));
  await sender.do('send', asText(frame(ETHER.ipv4, tcp4(V4, CLOSED), [7])));
  await sender.do('send', asText(frame(ETHER.ipv4, tcp4())));
  await until('the event is there', () => seen.length > 0);
  stop();
  t.match(seen, [
    {
      policy: 'edge',
      cgroup: null,
      hook: 'xdp',
      verdict: 'drop',
      direction: 'ingress',
      rule: 'telnet',
      line: 6,
      proto: 'tcp',
      src: THERE.v4,
      sport: 4000,
      dst: HERE.v4,
      dport: 23,
      length: 40,
      ifname: 'wire',
    },
  ]);
  t.equal(seen.length, 1, 'what is allowed is not logged');
});
