// What rules on ingress do to packets.

import t from 'tap';
import {
  beginConnect,
  BLOCKED,
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
import type { Way } from './traffic.js';
import type { PuppetSocket } from './puppet.js';
import { Sandbox } from './sandbox.js';

const rules = (byDefault: 'allow' | 'drop', ...list: object[]): object => ({
  ingress: { default: byDefault, rules: list },
});

t.test('ingress', async (t) => {
  const { inside, outside, apply, close } = makeScene(new Sandbox());
  t.teardown(close);
  const { port } = await listen(inside, 30081);
  const { server: receiver } = await receive(inside, 30081);
  await listen(inside, 30086);
  const { server: other } = await receive(inside, 30086);

  const connectTo = (way: Way, address: string, to = port): Promise<string> =>
    tryConnect(outside, way, address, to);

  async function hangs(ways: readonly (readonly [Way, string, number])[]): Promise<boolean> {
    const sockets: PuppetSocket[] = [];
    for (const [way, address, to] of ways)
      sockets.push(await beginConnect(outside, way, address, to));
    const result = await stillHang(sockets);
    for (const socket of sockets) await socket.do('close');
    return result;
  }

  /** Which of two datagrams from outside arrive: one from the blocked address, one from the open one. */
  async function arrivals(way: Way, to: string): Promise<string> {
    for (const [payload, address] of [
      ['blocked', way.blocked],
      ['open', way.open],
    ] as const) {
      const socket = await outside.socket(way.family, 'SOCK_DGRAM');
      await socket.do('bind', [address, 0]);
      await socket.do('sendto', { bytes: payload }, [to, 30081]);
      await socket.do('close');
    }
    let arrived = '';
    for (let last = ''; last !== 'open'; arrived += last)
      last = (await receiver.do('recv', 64)) as string;
    return arrived;
  }

  await t.test('a remote address is where a packet comes from', async (t) => {
    for (const allowedFirst of [true, false]) {
      await apply(rules('allow', ...(allowedFirst ? [] : [{ action: 'drop', from: BLOCKED }])));
      for (const way of WAYS) {
        t.equal(await arrivals(way, way.open), allowedFirst ? 'blockedopen' : 'open', way.name);
      }
    }
    await apply(rules('drop', { action: 'allow', from: [IPV4.open, IPV6.open] }));
    for (const way of WAYS)
      t.equal(
        await arrivals(way, way.blocked),
        'open',
        `${way.name}, the local address is nothing`,
      );
    await apply(rules('allow'));
    for (const way of WAYS)
      t.equal(await arrivals(way, way.open), 'blockedopen', `${way.name}, allowed again`);
  });

  await t.test('a dropped SYN leaves the client waiting, in all families', async (t) => {
    await apply(rules('drop'));
    t.ok(await hangs(WAYS.map((way) => [way, way.open, port] as const)));
    await apply(rules('allow'));
    for (const way of WAYS)
      t.equal(await connectTo(way, way.open), 'ok', `${way.name}, allowed again`);
  });

  await t.test('a port is the local port, whatever the remote one is', async (t) => {
    await apply(
      rules('drop', { action: 'allow', from: 'any', ports: ['30080-30085/tcp', '30086/udp'] }),
    );
    for (const way of WAYS) t.equal(await connectTo(way, way.open), 'ok', way.name);
    t.ok(await hangs(WAYS.map((way) => [way, way.open, 30086] as const)));
    const client = await outside.socket('AF_INET', 'SOCK_DGRAM');
    await client.do('bind', ['127.0.0.1', 30083]);
    await client.do('sendto', { bytes: 'from an allowed port' }, ['127.0.0.1', 30081]);
    await client.do('sendto', { bytes: 'to an allowed port' }, ['127.0.0.1', 30086]);
    t.equal(await other.do('recv', 64), 'to an allowed port');
    t.equal(await receiver.do('readable', 0), false);
  });

  await t.test('services, sets and localhost mean the same as on egress', async (t) => {
    await apply(rules('drop', { action: 'allow', from: ['peers', 'localhost'], ports: ['web'] }), {
      services: { web: ['30081/tcp'] },
      sets: { peers: [IPV6.open] },
    });
    t.equal(await connectTo(IPV4, IPV4.open), 'ok');
    t.equal(await connectTo(IPV6, '::1'), 'ok');
    t.equal(await connectTo(IPV6, IPV6.open), 'ok');
    t.ok(
      await hangs([
        [IPV6, IPV6.blocked, port],
        [IPV4, IPV4.open, 30086],
      ]),
    );
  });

  await t.test('what a socket never asked for is denied by default, also ICMP', async (t) => {
    await apply(rules('drop', { action: 'allow', from: IPV4.open, ports: ['icmp/echo-reply'] }));
    for (const [way, address, answer] of [
      [IPV4, IPV4.open, 'ok'],
      [IPV4, IPV4.blocked, 'ok'],
    ] as const) {
      const socket = await pingSocket(inside, way);
      await socket.do('sendto', echoRequest(way, 1), [address, 0]);
      t.equal(await socket.try('recv', 64), answer, `${address}: an answer is no new conversation`);
    }
  });
});
