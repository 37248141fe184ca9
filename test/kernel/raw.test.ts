// Raw sockets, and packets that no ordinary socket sends.

import t from 'tap';
import {
  asText,
  extension,
  fragmentHeader,
  ipv4,
  ipv6,
  routingHeader,
  SYN,
  ACK,
  tcp,
  udp,
} from './packets.js';
import { makeScene, receive } from './traffic.js';
import type { Scene } from './traffic.js';
import { Netns } from './netns.js';
import { Sandbox } from './sandbox.js';
import { policyText } from './traffic.js';

const FAMILIES = ['AF_INET', 'AF_INET6'];
const IPPROTO_IPV6 = 41;
const IPV6_HDRINCL = 36;
const IP_HDRINCL = 'IPPROTO_RAW';
const A = '127.0.0.1';
const B = '127.1.2.3';
const A6 = '2001:db8::102:3';
const B6 = '2001:db8::102:4';

interface Counted {
  readonly unparsable: number;
  /** `direction#rule`, by packets. */
  readonly rules: Readonly<Record<string, number>>;
}

async function counted({ box }: Scene): Promise<Counted> {
  const status = (await box.json('status', box.policyFile)) as {
    faults: { unparsable: number; table: number };
    policies: { rules: { direction: string; name: string; packets: number }[] }[];
  };
  if (status.faults.table !== 0) throw new Error('an index led outside the tables');
  const rules = status.policies[0]!.rules.filter(({ packets }) => packets > 0);
  return {
    unparsable: status.faults.unparsable,
    rules: Object.fromEntries(
      rules.map(({ direction, name, packets }) => [`${direction}#${name}`, packets]),
    ),
  };
}

t.test('raw IP sockets', async (t) => {
  const { inside, apply, close } = makeScene(new Sandbox());
  t.teardown(close);
  const make = async (): Promise<string> => {
    const results: string[] = [];
    for (const family of FAMILIES)
      results.push(await inside.trySocket(family, 'SOCK_RAW', IP_HDRINCL));
    results.push(await inside.trySocket('AF_INET', 'SOCK_RAW', 'IPPROTO_ICMP'));
    return results.join(' ');
  };
  for (const [title, policy, expected] of [
    [
      'are refused where egress denies by default',
      { egress: { default: 'drop' } },
      'EPERM EPERM EPERM',
    ],
    ['are allowed where egress allows by default', { egress: { default: 'allow' } }, 'ok ok ok'],
    ['are refused by raw: deny', { raw: 'deny' }, 'EPERM EPERM EPERM'],
    ['are allowed by raw: allow', { raw: 'allow', egress: { default: 'reject' } }, 'ok ok ok'],
    ['are made in audit mode', { raw: 'deny', mode: 'audit' }, 'ok ok ok'],
  ] as const) {
    await t.test(title, async (t) => {
      await apply(policy);
      t.equal(await make(), expected);
      t.equal(
        await inside.trySocket('AF_INET', 'SOCK_DGRAM', 'IPPROTO_ICMP'),
        'ok',
        'ping sockets are not raw',
      );
      t.equal(await inside.trySocket('AF_INET', 'SOCK_STREAM'), 'ok');
    });
  }
});

/** IPv4 packets, with the rule by which an egress policy of one UDP port decides. */
const ends = { source: A, destination: B };
const ends6 = { source: A6, destination: B6 };
const datagram = udp(ends, { from: 1000, to: 53 }, [1, 2, 3, 4]);
const datagram6 = udp(ends6, { from: 1000, to: 53 }, [1, 2, 3, 4]);

const IPV4_PACKETS: readonly (readonly [title: string, packet: number[], rule: string])[] = [
  ['a plain datagram', ipv4({ ...ends, protocol: 17, payload: datagram }), 'dns'],
  [
    'a forged source',
    ipv4({ source: '192.0.2.7', destination: B, protocol: 17, payload: datagram }),
    'dns',
  ],
  [
    'padding as options',
    ipv4({ ...ends, protocol: 17, payload: datagram, options: [1, 1, 1, 1] }),
    'dns',
  ],
  [
    'a finished source route',
    ipv4({ ...ends, protocol: 17, payload: datagram, options: [131, 7, 8, 127, 0, 0, 1] }),
    'dns',
  ],
  [
    'a source route that goes on',
    ipv4({ ...ends, protocol: 17, payload: datagram, options: [1, 131, 7, 4, 127, 0, 0, 1] }),
    'unparsable',
  ],
  [
    'a strict source route',
    ipv4({ ...ends, protocol: 17, payload: datagram, options: [137, 7, 4, 127, 0, 0, 1] }),
    'unparsable',
  ],
  [
    'an option without end',
    ipv4({ ...ends, protocol: 17, payload: datagram, options: [68, 0, 0, 0] }),
    'unparsable',
  ],
  ['a first fragment', ipv4({ ...ends, protocol: 17, payload: datagram, fragment: 0x2000 }), 'dns'],
  [
    'a later fragment',
    ipv4({ ...ends, protocol: 17, payload: datagram, fragment: 1 }),
    'unparsable',
  ],
  [
    'a later fragment of a protocol without ports',
    ipv4({ ...ends, protocol: 47, payload: datagram, fragment: 1 }),
    'gre',
  ],
  [
    'a UDP header cut short',
    ipv4({ ...ends, protocol: 17, payload: datagram.slice(0, 3) }),
    'unparsable',
  ],
  [
    'a TCP header cut short',
    ipv4({ ...ends, protocol: 6, payload: tcp(ends, { from: 1, to: 2 }, SYN).slice(0, 8) }),
    'unparsable',
  ],
  ['an ICMP header cut short', ipv4({ ...ends, protocol: 1, payload: [8, 0, 0] }), 'unparsable'],
  ['nothing after the header', ipv4({ ...ends, protocol: 17 }), 'unparsable'],
  ['GRE', ipv4({ ...ends, protocol: 47, payload: [0, 0, 8, 0] }), 'gre'],
  ['an unknown protocol', ipv4({ ...ends, protocol: 253, payload: [1] }), 'default'],
  [
    'a forged answer to a SYN',
    ipv4({ ...ends, protocol: 6, payload: tcp(ends, { from: 22, to: 2 }, SYN | ACK) }),
    'default',
  ],
  [
    'a forged end of a connection',
    ipv4({ ...ends, protocol: 6, payload: tcp(ends, { from: 22, to: 2 }, ACK) }),
    'default',
  ],
];

const many = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => extension(i + 1 < count ? 60 : 17)).flat();

const IPV6_PACKETS: readonly (readonly [title: string, packet: number[], rule: string])[] = [
  ['a plain datagram', ipv6({ ...ends6, next: 17, payload: datagram6 }), 'dns'],
  [
    'hop-by-hop options',
    ipv6({ ...ends6, next: 0, payload: [...extension(17), ...datagram6] }),
    'dns',
  ],
  [
    'destination options of 264 bytes',
    ipv6({ ...ends6, next: 60, payload: [...extension(17, 32), ...datagram6] }),
    'dns',
  ],
  [
    'eight extension headers',
    ipv6({ ...ends6, next: 60, payload: [...many(8), ...datagram6] }),
    'dns',
  ],
  [
    'nine extension headers',
    ipv6({ ...ends6, next: 60, payload: [...many(9), ...datagram6] }),
    'unparsable',
  ],
  [
    'a first fragment',
    ipv6({ ...ends6, next: 44, payload: [...fragmentHeader(17, 0), ...datagram6] }),
    'dns',
  ],
  [
    'a later fragment',
    ipv6({ ...ends6, next: 44, payload: [...fragmentHeader(17, 1), ...datagram6] }),
    'unparsable',
  ],
  [
    'a later fragment of a protocol without ports',
    ipv6({ ...ends6, next: 44, payload: [...fragmentHeader(47, 1), 1] }),
    'gre',
  ],
  [
    'a later fragment that hides its protocol',
    ipv6({ ...ends6, next: 44, payload: [...fragmentHeader(60, 1), 17, 0, 0, 0, 0, 0, 0, 0] }),
    'unparsable',
  ],
  [
    'a finished routing header',
    ipv6({ ...ends6, next: 43, payload: [...routingHeader(17, 0, A6), ...datagram6] }),
    'dns',
  ],
  [
    'a routing header that goes on',
    ipv6({ ...ends6, next: 43, payload: [...routingHeader(17, 1, A6), ...datagram6] }),
    'unparsable',
  ],
  ['an extension header cut short', ipv6({ ...ends6, next: 60, payload: [17, 0] }), 'unparsable'],
  [
    'an extension header longer than the packet',
    ipv6({ ...ends6, next: 60, payload: [17, 200, 1, 4, 0, 0, 0, 0] }),
    'unparsable',
  ],
  [
    'a UDP header cut short',
    ipv6({ ...ends6, next: 17, payload: datagram6.slice(0, 3) }),
    'unparsable',
  ],
  ['another version', ipv6({ ...ends6, next: 17, payload: datagram6, version: 7 }), 'unparsable'],
  ['no next header', ipv6({ ...ends6, next: 59 }), 'default'],
  ['GRE', ipv6({ ...ends6, next: 47, payload: [0, 0, 8, 0] }), 'gre'],
];

t.test('packets made by hand', async (t) => {
  const scene = makeScene(new Sandbox());
  t.teardown(scene.close);
  const { inside, apply } = scene;
  for (const byDefault of ['reject', 'allow'] as const) {
    const action = byDefault === 'allow' ? 'reject' : 'allow';
    const rules = [
      { name: 'dns', action, to: 'any', ports: ['53/udp'] },
      { name: 'gre', action, to: 'any', ports: ['gre'] },
    ];
    await apply({
      raw: 'allow',
      egress: { default: byDefault, rules },
      ingress: { default: 'drop', rules: [{ action: 'allow', from: 'any', ports: ['22/tcp'] }] },
    });
    for (const [family, packets, to] of [
      ['AF_INET', IPV4_PACKETS, B],
      ['AF_INET6', IPV6_PACKETS, B6],
    ] as const) {
      const raw = await inside.socket(family, 'SOCK_RAW', 255);
      if (family === 'AF_INET6') await raw.do('setsockopt', IPPROTO_IPV6, IPV6_HDRINCL, 1);
      for (const [title, packet, rule] of packets) {
        await t.test(
          `over ${family === 'AF_INET' ? 'IPv4' : 'IPv6'} under default ${byDefault}: ${title}`,
          async (t) => {
            const before = await counted(scene);
            const result = await raw.try('sendto', asText(packet), [to, 0]);
            const after = await counted(scene);
            const decides = rule === 'default' || rule === 'unparsable' ? byDefault : action;
            t.equal(result, decides === 'allow' ? 'ok' : 'EPERM');
            const at = `egress#${rule}`;
            t.equal((after.rules[at] ?? 0) - (before.rules[at] ?? 0), 1, `counted at ${rule}`);
            t.equal(after.unparsable - before.unparsable, rule === 'unparsable' ? 1 : 0);
          },
        );
      }
      await raw.do('close');
    }
  }
});

t.test('extension headers that every user may set', async (t) => {
  const { inside, outside, apply, close } = makeScene(new Sandbox());
  t.teardown(close);
  const { server, port } = await receive(outside);
  await apply({
    egress: { default: 'reject', rules: [{ action: 'allow', to: A6, ports: [port] }] },
    ingress: { default: 'drop' },
  });
  const options: readonly (readonly [string, number])[] = [
    ['hop-by-hop options', 54],
    ['destination options', 59],
  ];
  for (const [name, option] of options) {
    await t.test(`${name} hide nothing: port and address decide as without them`, async (t) => {
      const socket = await inside.socket('AF_INET6', 'SOCK_DGRAM');
      await socket.do('setsockopt', IPPROTO_IPV6, option, asText([0, 0, 1, 4, 0, 0, 0, 0]));
      t.equal(await socket.try('sendto', { bytes: name }, [A6, port]), 'ok');
      t.equal(await server.do('recv', 64), name);
      t.equal(await socket.try('sendto', { bytes: name }, [B6, port]), 'EPERM');
      t.equal(await socket.try('sendto', { bytes: name }, [A6, port + 1]), 'EPERM');
    });
  }
  await t.test('an IPv4 source route is denied where the default denies', async (t) => {
    await apply({
      egress: { default: 'reject', rules: [{ action: 'allow', to: A, ports: [port] }] },
    });
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    t.equal(await socket.try('sendto', { bytes: 'plain' }, [A, port]), 'ok');
    t.equal(await server.do('recv', 64), 'plain');
    const IP_OPTIONS = 4;
    await socket.do('setsockopt', 0, IP_OPTIONS, asText([1, 131, 7, 4, 127, 0, 0, 1]));
    t.equal(await socket.try('sendto', { bytes: 'routed' }, [A, port]), 'EPERM');
  });
});

t.test('a datagram larger than the MTU of its link is decided once, whole', async (t) => {
  const box = new Sandbox();
  const [left, right] = [new Netns(), new Netns()];
  t.teardown(async () => {
    await box.close();
    for (const netns of [left, right]) netns.close();
  });
  left.join(
    right,
    ['198.51.100.1/24', '2001:db8:1::1/64'],
    ['198.51.100.2/24', '2001:db8:1::2/64'],
  );
  const [sender, receiver] = [box.cgroup('sender'), box.cgroup('receiver')];
  const from = box.puppet(sender, left.name);
  const to = box.puppet(receiver, right.name);
  const { server, port } = await receive(to);
  const remote = ['198.51.100.1', '2001:db8:1::1'];
  const policies = (allowed: readonly string[]): string =>
    policyText([
      {
        name: 'sender',
        cgroups: [sender],
        egress: { default: 'reject', rules: [{ action: 'allow', to: 'any', ports: [port] }] },
      },
      {
        name: 'receiver',
        cgroups: [receiver],
        ingress: {
          default: 'drop',
          rules: [{ name: 'in', action: 'allow', from: allowed, ports: [port] }],
        },
      },
    ]);
  await box.apply(policies(remote));
  for (const [family, address] of [
    ['AF_INET', '198.51.100.2'],
    ['AF_INET6', '2001:db8:1::2'],
  ] as const) {
    const socket = await from.socket(family, 'SOCK_DGRAM');
    t.equal(await socket.try('sendto', { bytes: 'x'.repeat(5000) }, [address, port]), 'ok');
    t.equal(((await server.do('recv', 9000)) as string).length, 5000);
    t.equal(await socket.try('sendto', { bytes: 'x'.repeat(5000) }, [address, port + 1]), 'EPERM');
  }
  const status = (await box.json('status', box.policyFile)) as {
    policies: { rules: { name: string; packets: number }[] }[];
  };
  t.equal(
    status.policies[1]!.rules.find(({ name }) => name === 'in')?.packets,
    2,
    'reassembled on the way in',
  );
});

t.test('a raw socket that was pinged hears the answer to a ping of its own', async (t) => {
  const { inside, outside, apply, close } = makeScene(new Sandbox());
  t.teardown(close);
  const ports = ['icmp/echo-request'];
  await apply({
    raw: 'allow',
    egress: { default: 'drop', rules: [{ action: 'allow', to: 'any', ports }] },
    ingress: { default: 'drop', rules: [{ action: 'allow', from: 'any', ports }] },
  });
  const [near, far] = [
    await inside.socket('AF_INET', 'SOCK_RAW', 'IPPROTO_ICMP'),
    await outside.socket('AF_INET', 'SOCK_RAW', 'IPPROTO_ICMP'),
  ];
  await near.do('bind', [B, 0]);
  await far.do('bind', ['127.1.2.4', 0]);
  /** Echo request 1 of id 7, with its checksum: both ends use the same id. */
  const request = { bytes: '\x08\0\xf7\xf7\0\x07\0\x01' };
  const typeOfNext = async (): Promise<number | null> =>
    (await near.do('readable', 2)) === true
      ? ((await near.do('recv', 100)) as string).charCodeAt(20)
      : null;
  await far.do('sendto', request, [B, 0]);
  t.equal(await typeOfNext(), 8, 'it is pinged');
  await near.do('sendto', request, ['127.1.2.4', 0]);
  t.equal(await typeOfNext(), 0, 'and answered');
});
