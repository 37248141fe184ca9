// What rules on egress do to packets, for every action, protocol and address family.

import t, { type Test } from 'tap';
import {
  beginConnect,
  BLOCKED,
  echoReply,
  echoRequest,
  IPV4,
  IPV6,
  listen,
  makeScene,
  pingSocket,
  receive,
  stillHang,
  tryConnect,
  WAYS,
} from './traffic.js';
import type { Scene, Way } from './traffic.js';
import type { PuppetSocket } from './puppet.js';
import { Sandbox } from './sandbox.js';

const rules = (...list: object[]): object => ({ egress: { default: 'allow', rules: list } });
const reject = rules({ action: 'reject', to: BLOCKED });
const drop = rules({ action: 'drop', to: BLOCKED });
const allowAll = rules();
const allowOnly = { egress: { default: 'reject', rules: [{ action: 'allow', to: BLOCKED }] } };

t.test('egress', async (t) => {
  const scene = makeScene(new Sandbox());
  t.teardown(() => scene.close());
  const { inside, outside, apply } = scene;
  const { port: tcpPort } = await listen(outside);
  const udp = await receive(outside);
  const connectTo = (way: Way, address: string): Promise<string> =>
    tryConnect(inside, way, address, tcpPort);

  /** Which of two datagrams, to the blocked address and then to the open one, arrive. */
  async function arrivals(socket: PuppetSocket, way: Way): Promise<string> {
    const sent = await socket.try('sendto', { bytes: 'blocked' }, [way.blocked, udp.port]);
    await socket.do('sendto', { bytes: 'open' }, [way.open, udp.port]);
    let arrived = '';
    for (let last = ''; last !== 'open'; arrived += last)
      last = (await udp.server.do('recv', 64)) as string;
    return `${sent}, ${arrived}`;
  }

  async function pings(way: Way): Promise<string> {
    const socket = await pingSocket(inside, way);
    const sent = await socket.try('sendto', echoRequest(way, 1), [way.blocked, 0]);
    await socket.do('sendto', echoRequest(way, 2), [way.open, 0]);
    let answered = '';
    for (let last = 0; last !== 2; answered += String(last)) last = await echoReply(socket);
    await socket.do('close');
    return `${sent}, ${answered}`;
  }

  for (const [name, policy] of [
    ['no rule', allowAll],
    ['a rule that allows', allowOnly],
    ['a rule that is gone again', allowAll],
  ] as const) {
    if (name !== 'no rule') await apply(reject);
    await apply(policy);
    for (const way of WAYS) {
      await t.test(`with ${name}, TCP and UDP reach the address over ${way.name}`, async (t) => {
        t.equal(await connectTo(way, way.blocked), 'ok');
        const socket = await inside.socket(way.family, 'SOCK_DGRAM');
        t.equal(await socket.try('sendto', { bytes: 'hello' }, [way.blocked, udp.port]), 'ok');
        t.equal(await udp.server.do('recv', 64), 'hello');
        t.equal(await connectTo(way, way.open), policy === allowOnly ? 'EPERM' : 'ok');
      });
    }
  }

  await t.test('reject', async (t) => {
    await apply(reject);
    for (const way of WAYS) {
      await t.test(
        `fails TCP connect() over ${way.name} at once with EPERM, elsewhere it works`,
        async (t) => {
          t.equal(await connectTo(way, way.blocked), 'EPERM');
          t.equal(await connectTo(way, way.open), 'ok');
        },
      );
      await t.test(
        `fails a non-blocking connect() over ${way.name} with EPERM itself, not later`,
        async (t) => {
          const socket = await inside.socket(way.family);
          await socket.do('setblocking', 0);
          t.equal(await socket.try('connect', [way.blocked, tcpPort]), 'EPERM');
          await socket.do('close');
        },
      );
      await t.test(
        `fails UDP sendto() over ${way.name} with EPERM, from one socket that reaches others`,
        async (t) => {
          t.equal(
            await arrivals(await inside.socket(way.family, 'SOCK_DGRAM'), way),
            'EPERM, open',
          );
        },
      );
      await t.test(
        `lets UDP connect() over ${way.name} ask for a route, and fails send()`,
        async (t) => {
          const socket = await inside.socket(way.family, 'SOCK_DGRAM');
          t.equal(await socket.try('connect', [way.blocked, udp.port]), 'ok');
          t.equal(await socket.try('send', { bytes: 'hello' }), 'EPERM');
          await socket.do('close');
        },
      );
      await t.test(`fails TCP Fast Open over ${way.name} with EPERM`, async (t) => {
        const MSG_FASTOPEN = 0x20000000;
        const socket = await inside.socket(way.family);
        t.equal(
          await socket.try('sendto', { bytes: 'hello' }, MSG_FASTOPEN, [way.blocked, tcpPort]),
          'EPERM',
        );
        await socket.do('close');
      });
    }
    await t.test('fails ping over IPv4 with EPERM', async (t) => {
      t.equal(await pings(IPV4), 'EPERM, 2');
    });
    await t.test(
      'stops ping over IPv6, whose sockets the kernel never tells of an error',
      async (t) => {
        t.equal(await pings(IPV6), 'ok, 2');
      },
    );
    await t.test('fails an MPTCP connect() with EPERM', async (t) => {
      const IPPROTO_MPTCP = 262;
      for (const way of WAYS) {
        const made = await inside.trySocket(way.family, 'SOCK_STREAM', IPPROTO_MPTCP);
        if (made !== 'ok') {
          t.comment(`skipped: this kernel has no MPTCP (${made})`);
          return;
        }
        const socket = await inside.socket(way.family, 'SOCK_STREAM', IPPROTO_MPTCP);
        t.equal(await socket.try('connect', [way.blocked, tcpPort]), 'EPERM', way.name);
        const other = await inside.socket(way.family, 'SOCK_STREAM', IPPROTO_MPTCP);
        t.equal(await other.try('connect', [way.open, tcpPort]), 'ok', way.name);
      }
    });
  });

  await t.test('drop', async (t) => {
    await apply(drop);
    await t.test('leaves TCP connect() hanging without an error, in all families', async (t) => {
      const hanging: PuppetSocket[] = [];
      for (const way of WAYS) {
        hanging.push(await beginConnect(inside, way, way.blocked, tcpPort));
        t.equal(await connectTo(way, way.open), 'ok', way.name);
      }
      t.ok(await stillHang(hanging));
      for (const socket of hanging) t.equal(await socket.do('getsockopt', 1, 4), 0, 'SO_ERROR');
      for (const socket of hanging) await socket.do('close');
    });
    for (const way of WAYS) {
      await t.test(`lets UDP sendto() over ${way.name} succeed and delivers nothing`, async (t) => {
        t.equal(await arrivals(await inside.socket(way.family, 'SOCK_DGRAM'), way), 'ok, open');
      });
      await t.test(
        `lets send() of a connected UDP socket over ${way.name} succeed and delivers nothing`,
        async (t) => {
          const socket = await inside.socket(way.family, 'SOCK_DGRAM');
          await socket.do('connect', [way.blocked, udp.port]);
          t.equal(await socket.try('send', { bytes: 'hello' }), 'ok');
          t.equal(await arrivals(await inside.socket(way.family, 'SOCK_DGRAM'), way), 'ok, open');
        },
      );
    }
    await t.test(
      'stops ping; over IPv4 the kernel says ENOBUFS where UDP would hear nothing',
      async (t) => {
        t.equal(await pings(IPV4), 'ENOBUFS, 2');
        t.equal(await pings(IPV6), 'ok, 2');
      },
    );
  });

  await t.test(
    'each address means itself alone: removing one family leaves the other',
    async (t) => {
      await apply(rules({ action: 'reject', to: IPV6.blocked }));
      t.equal(await connectTo(IPV4, IPV4.blocked), 'ok');
      t.equal(await connectTo(IPV6, IPV6.blocked), 'EPERM');
      await apply(allowAll);
      t.equal(await connectTo(IPV6, IPV6.blocked), 'ok');
    },
  );

  await testPorts(t, scene);
  await testAddresses(t, scene);
});

async function testPorts(t: Test, { inside, outside, apply }: Scene): Promise<void> {
  const ports = [20080, 20081, 20085, 20086];
  for (const port of ports) {
    await listen(outside, port);
    await receive(outside, port);
  }
  const connects = async (): Promise<string> =>
    (await inOrder(ports, (port) => tryConnect(inside, IPV4, '127.0.0.1', port))).join(' ');
  const sends = async (): Promise<string> => {
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    return (
      await inOrder(ports, (port) => socket.try('sendto', { bytes: 'x' }, ['127.0.0.1', port]))
    ).join(' ');
  };

  await t.test('a port range begins and ends where it says, for its protocol alone', async (t) => {
    await apply(rules({ action: 'reject', to: 'any', ports: ['20081-20085/tcp'] }));
    t.equal(await connects(), 'ok EPERM EPERM ok');
    t.equal(await sends(), 'ok ok ok ok');
  });

  await t.test('a port without a protocol means TCP and UDP', async (t) => {
    await apply(rules({ action: 'reject', to: 'any', ports: [20081] }));
    t.equal(await connects(), 'ok EPERM ok ok');
    t.equal(await sends(), 'ok EPERM ok ok');
  });

  await t.test('a service by name means its ports', async (t) => {
    await apply(rules({ action: 'reject', to: 'any', ports: ['odd'] }), {
      services: { odd: ['20080/udp', '20085-20086/tcp'] },
    });
    t.equal(await connects(), 'ok ok EPERM EPERM');
    t.equal(await sends(), 'EPERM ok ok ok');
  });

  await t.test('a bare protocol means all of it', async (t) => {
    await apply(rules({ action: 'reject', to: 'any', ports: ['udp'] }));
    t.equal(await connects(), 'ok ok ok ok');
    t.equal(await sends(), 'EPERM EPERM EPERM EPERM');
    const socket = await pingSocket(inside, IPV4);
    t.equal(await socket.try('sendto', echoRequest(IPV4, 1), ['127.0.0.1', 0]), 'ok');
  });

  await t.test('an ICMP type means that type', async (t) => {
    const ping = async (way: Way): Promise<string> => {
      const socket = await pingSocket(inside, way);
      await socket.do('settimeout', 0.3);
      await socket.try('sendto', echoRequest(way, 1), [way.open, 0]);
      return socket.try('recv', 64);
    };
    await apply(rules({ action: 'reject', to: 'any', ports: ['icmp/echo-request'] }));
    t.equal(await ping(IPV4), 'TIMEOUT');
    t.equal(await ping(IPV6), 'ok');
    await apply(rules({ action: 'reject', to: 'any', ports: ['icmpv6/echo-request'] }));
    t.equal(await ping(IPV4), 'ok');
    t.equal(await ping(IPV6), 'TIMEOUT');
    await apply(
      rules({ action: 'reject', to: 'any', ports: ['icmp/echo-reply', 'icmpv6/echo-reply'] }),
    );
    t.equal(await ping(IPV4), 'ok');
    t.equal(await ping(IPV6), 'ok');
  });

  await t.test('the first rule that matches decides', async (t) => {
    await apply(
      rules(
        { action: 'allow', to: 'any', ports: ['20081/tcp'] },
        { action: 'reject', to: '127.0.0.0/8', ports: ['20080-20085/tcp'] },
        { action: 'allow', to: 'any', ports: ['20085/tcp'] },
      ),
    );
    t.equal(await connects(), 'EPERM ok EPERM ok');
  });
}

async function testAddresses(t: Test, { box, inside, outside, apply }: Scene): Promise<void> {
  const { port } = await listen(outside);
  const targets = [
    [IPV4, '127.0.0.1'],
    [IPV4, '127.1.2.3'],
    [IPV4, '127.1.2.4'],
    [IPV6, '::1'],
    [IPV6, '2001:db8::102:3'],
    [IPV6, '2001:db8::102:4'],
  ] as const;
  const connects = async (): Promise<string> => {
    const results = await inOrder(targets, ([way, address]) =>
      tryConnect(inside, way, address, port),
    );
    return results
      .map((result) => (result === 'EPERM' ? '-' : result === 'ok' ? '+' : result))
      .join('');
  };
  const rejecting = (to: unknown): object => rules({ action: 'reject', to });

  await t.test('localhost means 127.0.0.0/8 and ::1, and nothing else', async (t) => {
    await apply(rejecting('localhost'));
    t.equal(await connects(), '----++');
  });
  await t.test('any means every address of both families', async (t) => {
    await apply(rejecting('any'));
    t.equal(await connects(), '------');
  });
  await t.test('a prefix means what it covers, and a list the union of its parts', async (t) => {
    await apply(rejecting('127.1.2.0/30'));
    t.equal(await connects(), '+-++++');
    await apply(rejecting(['127.1.2.4/30', '2001:db8::102:0/126', '::1']));
    t.equal(await connects(), '++---+');
  });
  await t.test('a named set holds addresses of both families', async (t) => {
    await apply(rejecting(['peers', '127.0.0.1']), {
      sets: { peers: ['127.1.2.4', '2001:db8::102:4/128'] },
    });
    t.equal(await connects(), '-+-++-');
  });
  await t.test('a set file is read beside the policy file', async (t) => {
    box.write(
      '# peers\n127.1.2.3\n2001:db8::102:0/125 ; six\n',
      `${box.folder}/feeds/peers.netset`,
    );
    await apply(rejecting('peers'), { sets: { peers: { file: 'feeds/peers.netset' } } });
    t.equal(await connects(), '+-++--');
  });
  await t.test('connecting to the unspecified address is connecting to this host', async (t) => {
    await apply(rejecting('localhost'));
    t.equal(await tryConnect(inside, IPV4, '0.0.0.0', port), 'EPERM');
    t.equal(await tryConnect(inside, IPV6, '::', port), 'EPERM');
    t.equal(await tryConnect(inside, IPV6, '::ffff:0.0.0.0', port), 'EPERM');
    await apply({ egress: { default: 'reject', rules: [{ action: 'allow', to: 'localhost' }] } });
    t.equal(await tryConnect(inside, IPV4, '0.0.0.0', port), 'ok');
    t.equal(await tryConnect(inside, IPV6, '::', port), 'ok');
    t.equal(await tryConnect(inside, IPV6, '::ffff:0.0.0.0', port), 'ok');
  });
}

async function inOrder<T, R>(values: readonly T[], act: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const value of values) results.push(await act(value));
  return results;
}
