// What `status` counts, and what `audit` lets pass.

import t from 'tap';
import { BLOCKED, IPV4, IPV6, listen, makeScene, receive, tryConnect } from './traffic.js';
import type { Scene } from './traffic.js';
import type { PuppetSocket } from './puppet.js';
import { Sandbox, until } from './sandbox.js';

interface Rule {
  readonly direction: string;
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** `direction#rule: packets/bytes`, for rules that counted anything. */
async function counts({ box }: Scene): Promise<string[]> {
  const { policies } = (await box.json('status', box.policyFile)) as {
    policies: { rules: Rule[] }[];
  };
  return policies[0]!.rules
    .filter(({ packets }) => packets > 0)
    .map(
      ({ direction, name, packets, bytes }) =>
        `${direction}#${name}: ${String(packets)}/${String(bytes)}`,
    );
}

const HEADERS = { ipv4: 20 + 8, ipv6: 40 + 8 };

t.test('counters', async (t) => {
  const scene = makeScene(new Sandbox());
  t.teardown(scene.close);
  const { inside, outside, apply } = scene;
  const { server, port } = await receive(outside);
  const send = async (count: number, size: number, address = '127.1.2.3'): Promise<void> => {
    const socket = await inside.socket(
      address.includes(':') ? 'AF_INET6' : 'AF_INET',
      'SOCK_DGRAM',
    );
    for (let i = 0; i < count; i++)
      await socket.try('sendto', { bytes: 'x'.repeat(size) }, [address, port]);
    await socket.do('close');
  };

  await t.test(
    'count packets and bytes from the IP header on, for each rule and for the default',
    async (t) => {
      const rules = [
        { name: 'refused', action: 'reject', to: '127.1.2.3' },
        { name: 'lost', action: 'drop', to: '127.1.2.4' },
        { name: 'six', action: 'allow', to: '2001:db8::102:3' },
      ];
      await apply({ egress: { default: 'allow', rules } });
      await send(7, 100);
      await send(5, 0, '127.1.2.4');
      await send(3, 1000, '2001:db8::102:3');
      await send(2, 10, '127.1.2.5');
      t.same(await counts(scene), [
        `egress#refused: 7/${String(7 * (HEADERS.ipv4 + 100))}`,
        `egress#lost: 5/${String(5 * HEADERS.ipv4)}`,
        `egress#six: 3/${String(3 * (HEADERS.ipv6 + 1000))}`,
        `egress#default: 2/${String(2 * (HEADERS.ipv4 + 10))}`,
      ]);
    },
  );

  await t.test(
    'go on for rules that a new policy keeps, and begin at zero for others',
    async (t) => {
      const rules = [
        { name: 'new', action: 'allow', to: '127.1.2.4' },
        { name: 'refused', action: 'reject', to: '127.1.2.3' },
      ];
      await apply({ egress: { default: 'allow', rules } });
      await send(1, 100);
      await send(1, 0, '127.1.2.4');
      t.same(await counts(scene), [
        `egress#new: 1/${String(HEADERS.ipv4)}`,
        `egress#refused: 8/${String(8 * (HEADERS.ipv4 + 100))}`,
        `egress#default: 2/${String(2 * (HEADERS.ipv4 + 10))}`,
      ]);
    },
  );

  await t.test(
    'count a refused connect() as one packet without bytes, and replies at the rule that let them begin',
    async (t) => {
      const rules = [
        { name: 'refused', action: 'reject', to: BLOCKED },
        { name: 'asked', action: 'allow', to: '127.1.2.4' },
      ];
      await apply({ egress: { default: 'drop', rules }, ingress: { default: 'drop' } });
      const before = await counts(scene);
      t.same(before, [], 'other actions and addresses are other rules');
      const { port: tcpPort } = await listen(outside);
      for (const way of [IPV4, IPV6])
        t.equal(await tryConnect(inside, way, way.blocked, tcpPort), 'EPERM');
      const peer = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await peer.do('bind', ['127.1.2.4', 0]);
      const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
      await socket.do('connect', ['127.1.2.4', await peer.port()]);
      await socket.do('send', { bytes: '1234' });
      const [, from] = (await peer.do('recvfrom', 64)) as [string, [string, number]];
      await peer.do('sendto', { bytes: '12345678' }, from);
      await socket.do('recv', 64);
      t.same(await counts(scene), [
        'egress#refused: 2/0',
        `egress#asked: 2/${String(2 * HEADERS.ipv4 + 4 + 8)}`,
      ]);
    },
  );

  await t.test('count every packet of many, from several sockets at once', async (t) => {
    await apply({
      egress: { default: 'allow', rules: [{ name: 'many', action: 'drop', to: '127.1.2.3' }] },
    });
    const others = [
      scene.box.puppet(scene.cgroup, scene.netns.name),
      scene.box.puppet(scene.cgroup, scene.netns.name),
    ];
    await Promise.all(
      others.map(async (puppet) => {
        const socket = await puppet.socket('AF_INET', 'SOCK_DGRAM');
        t.same(await socket.do('burst', 20_000, 10, ['127.1.2.3', port]), { ok: 20_000 });
      }),
    );
    t.same(await counts(scene), [`egress#many: 40000/${String(40_000 * (HEADERS.ipv4 + 10))}`]);
  });

  await t.test('audit: everything passes, is counted, and says so in the log', async (t) => {
    while ((await server.do('readable', 0)) === true) await server.do('recv', 2000);
    const log: Record<string, unknown>[] = [];
    const rules = [{ name: 'would', action: 'reject', to: BLOCKED }];
    await apply({
      mode: 'audit',
      egress: { default: 'drop', rules },
      ingress: { default: 'drop' },
    });
    const { port: tcpPort } = await listen(outside);
    const stop = scene.box.follow((event) => void log.push(event));
    for (const way of [IPV4, IPV6]) {
      t.equal(await tryConnect(inside, way, way.blocked, tcpPort), 'ok');
      t.equal(await tryConnect(inside, way, way.open, tcpPort), 'ok');
    }
    await send(3, 10);
    for (let i = 0; i < 3; i++) t.equal(await server.do('recv', 64), 'x'.repeat(10));
    t.equal(await inside.trySocket('AF_INET', 'SOCK_RAW', 'IPPROTO_ICMP'), 'ok', 'raw sockets too');
    // Connections end when the kernel likes: their last packets are counted and logged too.
    await until('the log tells of each packet that the rule counted', async () => {
      const told = log.filter(({ rule }) => rule === 'would').length;
      return (await counts(scene)).includes(`egress#would: ${String(told)}/${String(sum(log))}`);
    });
    stop();
    const datagrams = log.filter(({ proto }) => proto === 'udp');
    t.equal(datagrams.length, 3);
    t.match(datagrams[0], {
      mode: 'audit',
      verdict: 'reject',
      rule: 'would',
      hook: 'egress',
      policy: 'web',
      length: 38,
    });
    t.match(
      log.find(({ hook }) => hook === 'socket'),
      { mode: 'audit', verdict: 'reject', rule: 'raw' },
    );
  });
});

/** Who begins, and by which rules both directions may allow it. */
const BEGINNINGS = [
  { begins: 'egress', own: 'egress#asks', reply: 'ingress#hears' },
  { begins: 'ingress', own: 'ingress#serves', reply: 'egress#answers' },
] as const;
type Beginning = (typeof BEGINNINGS)[number];

const SERVED = 40443;

/** Conversations of the managed cgroup with an unmanaged peer at one of its addresses. */
function makeTalks({ inside, outside }: Scene) {
  const datagram = async (side: 'inside' | 'outside', address: string, port: number) => {
    const socket = await (side === 'inside' ? inside : outside).socket('AF_INET', 'SOCK_DGRAM');
    await socket.do('bind', [address, port]);
    return socket;
  };
  /** Two questions of 4 bytes, and two answers of 8; the server's port is SERVED. */
  const exchange = async (begins: Beginning['begins'], peer: string): Promise<void> => {
    const isServer = begins === 'ingress';
    const own = await datagram('inside', '127.1.2.9', isServer ? SERVED : 0);
    const other = await datagram('outside', peer, isServer ? 0 : SERVED);
    const [client, server] = isServer ? [other, own] : [own, other];
    for (let i = 0; i < 2; i++) {
      await client.do('sendto', { bytes: '1234' }, [isServer ? '127.1.2.9' : peer, SERVED]);
      const [, from] = (await server.do('recvfrom', 64)) as [string, [string, number]];
      await server.do('sendto', { bytes: '12345678' }, from);
      await client.do('recv', 64);
    }
    await own.do('close');
    await other.do('close');
  };
  /** A connection with data in both directions, which is left as it is. */
  const connection = async (begins: Beginning['begins'], peer: string): Promise<void> => {
    const [client, server] = begins === 'egress' ? [inside, outside] : [outside, inside];
    const addresses = begins === 'egress' ? ['127.1.2.9', peer] : [peer, '127.1.2.9'];
    const listener = await server.socket();
    await listener.do('setsockopt', 'SOL_SOCKET', 'SO_REUSEADDR', 1);
    await listener.do('bind', [addresses[1]!, SERVED]);
    await listener.do('listen', 1);
    const ends: PuppetSocket[] = [await client.socket()];
    await ends[0]!.do('bind', [addresses[0]!, 0]);
    await ends[0]!.do('connect', [addresses[1]!, SERVED]);
    ends.push(await listener.accept());
    for (const [from, to] of [ends, [...ends].reverse()]) {
      await from!.do('send', { bytes: '1234' });
      t.equal(await to!.do('recv', 4), '1234');
    }
    await listener.do('close');
  };
  return { exchange, connection };
}

t.test('a reply', async (t) => {
  const scene = makeScene(new Sandbox());
  t.teardown(scene.close);
  const { exchange, connection } = makeTalks(scene);
  let peers = 10;

  for (const { begins, own, reply } of BEGINNINGS) {
    for (const allowed of ['its own direction allows', 'only the beginning allows'] as const) {
      const isAllowed = allowed === 'its own direction allows';
      // A peer for each case: what comes late of another's connection is not counted here.
      const peer = `127.1.2.${String(peers++)}`;
      const rule = (name: string, more: object = {}): object => ({
        name: name.split('#')[1],
        action: 'allow',
        [name.startsWith('egress') ? 'to' : 'from']: peer,
        ...more,
      });
      const beginning = { default: 'drop', rules: [rule(own, { ports: [SERVED] })] };
      const replying = { default: 'drop', rules: isAllowed ? [rule(reply)] : [] };
      const policy =
        begins === 'egress'
          ? { egress: beginning, ingress: replying }
          : { egress: replying, ingress: beginning };
      const byRule = async (): Promise<string[]> =>
        (await counts(scene)).filter((line) => !line.includes('#default'));

      await t.test(
        `that ${allowed} is counted by that rule where ${begins} begins: UDP and TCP`,
        async (t) => {
          await scene.apply({ log: 'none', ...policy });
          await exchange(begins, peer);
          const questions = 2 * (HEADERS.ipv4 + 4);
          const answers = 2 * (HEADERS.ipv4 + 8);
          const udp = isAllowed
            ? [`${own}: 2/${String(questions)}`, `${reply}: 2/${String(answers)}`].sort()
            : [`${own}: 4/${String(questions + answers)}`];
          t.same(await byRule(), udp, 'UDP');
          // With other names, from nothing.
          const text = JSON.stringify(policy).replace(/asks|hears|serves|answers/g, 'tcp-$&');
          await scene.apply({ log: 'none', ...(JSON.parse(text) as object) });
          await connection(begins, peer);
          const names = (await byRule()).map((line) => line.split(':')[0]);
          const tcp = (isAllowed ? [own, reply].sort() : [own]).map((name) =>
            name.replace('#', '#tcp-'),
          );
          t.same(names, tcp, 'TCP');
        },
      );
    }
  }

  for (const loud of [['egress'], ['ingress'], ['egress', 'ingress']]) {
    for (const byDefault of ['allow', 'drop']) {
      await t.test(
        `is no new flow with log: new for ${loud.join(' and ')}, under default ${byDefault}`,
        async (t) => {
          const direction = (name: string): object => ({
            default: byDefault,
            rules: [
              {
                name: 'known',
                action: 'allow',
                [name === 'egress' ? 'to' : 'from']: 'any',
                log: loud.includes(name) ? 'new' : 'denied',
              },
            ],
          });
          await scene.apply({ egress: direction('egress'), ingress: direction('ingress') });
          const peer = `127.1.2.${String(peers++)}`;
          for (const { begins } of BEGINNINGS) {
            for (const [proto, talk] of [
              ['udp', exchange],
              ['tcp', connection],
            ] as const) {
              const log: string[] = [];
              const stop = scene.box.follow(({ hook, verdict, rule, proto: what }) => {
                log.push(`${String(hook)} ${String(verdict)} ${String(rule)} ${String(what)}`);
              });
              await talk(begins, peer);
              stop();
              const first = loud.includes(begins) ? [`${begins} allow known ${proto}`] : [];
              t.same(log, first, `${proto}, ${begins} begins`);
            }
          }
        },
      );
    }
  }
});

function sum(log: readonly Record<string, unknown>[]): number {
  return log
    .filter(({ rule }) => rule === 'would')
    .reduce((bytes, { length }) => bytes + Number(length), 0);
}
