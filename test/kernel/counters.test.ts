// What `status` counts, and what `audit` lets pass.

import t from 'tap';
import { BLOCKED, IPV4, IPV6, listen, makeScene, receive, tryConnect } from './traffic.js';
import type { Scene } from './traffic.js';
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

function sum(log: readonly Record<string, unknown>[]): number {
  return log
    .filter(({ rule }) => rule === 'would')
    .reduce((bytes, { length }) => bytes + Number(length), 0);
}
