// Rules decide who may begin a conversation; what belongs to it passes, for as long as they allow that.

import t from 'tap';
import {
  BLOCKED,
  echoReply,
  echoRequest,
  IPV4,
  IPV6,
  listen,
  makeScene,
  OPEN,
  pingSocket,
  receive,
  WAYS,
} from './traffic.js';
import type { Scene, Way } from './traffic.js';
import type { Puppet, PuppetSocket } from './puppet.js';
import { Sandbox } from './sandbox.js';

const CLIENT = { egress: { default: 'allow' }, ingress: { default: 'drop' } };
const strictClient = (to: unknown): object => ({
  egress: { default: 'reject', rules: [{ action: 'allow', to }] },
  ingress: { default: 'drop' },
});
const PORT = 40443;
const serverOnly = (from: unknown, action = 'allow'): object => ({
  egress: { default: 'reject' },
  ingress: { default: 'drop', rules: [{ action, from, ports: [PORT] }] },
});

function scene(t: { teardown: (end: () => Promise<void>) => void }): Scene {
  const made = makeScene(new Sandbox());
  t.teardown(made.close);
  return made;
}

interface Pair {
  readonly client: PuppetSocket;
  readonly server: PuppetSocket;
}

async function connectPair(
  client: Puppet,
  way: Way,
  listener: { server: PuppetSocket; port: number },
): Promise<Pair> {
  const socket = await client.socket(way.family);
  await socket.do('connect', [way.blocked, listener.port]);
  return { client: socket, server: await listener.server.accept() };
}

/** What arrives of a message each way: `both`, or which direction fails. */
async function talk({ client, server }: Pair): Promise<string> {
  await client.do('send', { bytes: 'ping' });
  if ((await server.try('recv', 4)) !== 'ok') return 'nothing reaches the server';
  await server.do('send', { bytes: 'pong' });
  return (await client.try('recv', 4)) === 'ok' ? 'both' : 'nothing reaches the client';
}

t.test('a client under default-deny ingress', async (t) => {
  const { inside, outside, apply } = scene(t);
  const listener = await listen(outside);
  for (const [name, policy] of [
    ['open egress', CLIENT],
    ['one egress rule', strictClient([...BLOCKED, ...OPEN])],
  ] as const) {
    await apply(policy);
    for (const way of WAYS) {
      await t.test(`with ${name} hears the answers over ${way.name}`, async (t) => {
        t.equal(await talk(await connectPair(inside, way, listener)), 'both');
        const peer = await outside.socket(way.family, 'SOCK_DGRAM');
        await peer.do('bind', [way.blocked, 0]);
        const socket = await inside.socket(way.family, 'SOCK_DGRAM');
        await socket.do('connect', [way.blocked, await peer.port()]);
        await socket.do('send', { bytes: 'ping' });
        const [, from] = (await peer.do('recvfrom', 64)) as [string, [string, number]];
        await peer.do('sendto', { bytes: 'pong' }, [from[0], from[1]]);
        t.equal(await socket.do('recv', 64), 'pong');
      });
    }
    for (const way of [IPV4, IPV6]) {
      await t.test(`with ${name} hears the answers to ping over ${way.name}`, async (t) => {
        const socket = await pingSocket(inside, way);
        await socket.do('sendto', echoRequest(way, 7), [way.blocked, 0]);
        t.equal(await echoReply(socket), 7);
        await socket.do('sendto', echoRequest(way, 8), [way.open, 0]);
        t.equal(await echoReply(socket), 8);
      });
    }
    await t.test(
      `with ${name} hears fifty peers that one socket asked, and nobody else`,
      async (t) => {
        const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
        await socket.do('bind', ['127.1.2.4', 0]);
        const port = await socket.port();
        const stranger = await outside.socket('AF_INET', 'SOCK_DGRAM');
        await stranger.do('bind', ['127.1.2.3', 0]);
        const peers: PuppetSocket[] = [];
        for (let i = 0; i < 50; i++) {
          const one = await outside.socket('AF_INET', 'SOCK_DGRAM');
          await one.do('bind', ['127.1.2.3', 0]);
          await socket.do('sendto', { bytes: 'hello' }, ['127.1.2.3', await one.port()]);
          await one.do('recv', 64);
          peers.push(one);
        }
        await stranger.do('sendto', { bytes: 'stranger' }, ['127.1.2.4', port]);
        for (const [i, one] of peers.entries()) {
          await one.do('sendto', { bytes: `answer ${String(i)}` }, ['127.1.2.4', port]);
          t.equal(await socket.do('recv', 64), `answer ${String(i)}`);
        }
        const sameHost = peers[0]!;
        await sameHost.do('sendto', { bytes: 'again' }, ['127.1.2.4', port]);
        t.equal(await socket.do('recv', 64), 'again', 'as often as they like');
        await stranger.do('close');
      },
    );
  }

  await t.test(
    'hears what comes to a connected UDP socket that asked before the attachment',
    async (t) => {
      await apply({});
      const one = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await one.do('bind', ['127.1.2.3', 0]);
      const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
      await socket.do('connect', ['127.1.2.3', await one.port()]);
      await socket.do('send', { bytes: 'question' });
      const [, from] = (await one.do('recvfrom', 64)) as [string, [string, number]];
      await apply(strictClient(BLOCKED));
      await one.do('sendto', { bytes: 'answer' }, from);
      t.equal(await socket.do('recv', 64), 'answer');
      await apply(strictClient(OPEN));
      await one.do('sendto', { bytes: 'forbidden' }, from);
      await apply(strictClient(BLOCKED));
      await one.do('sendto', { bytes: 'allowed again' }, from);
      t.equal(await socket.do('recv', 64), 'allowed again');
    },
  );
});

t.test('a server that may begin nothing', async (t) => {
  const { inside, outside, apply } = scene(t);
  await apply(serverOnly('any'));
  const listener = await listen(inside, PORT);
  const receiver = await receive(inside, PORT);

  for (const way of WAYS) {
    await t.test(`answers several TCP clients over ${way.name}`, async (t) => {
      const pairs: Pair[] = [];
      for (let i = 0; i < 5; i++) pairs.push(await connectPair(outside, way, listener));
      for (const pair of pairs) t.equal(await talk(pair), 'both');
    });
    await t.test(
      `answers several UDP clients over ${way.name}, from whichever of its addresses`,
      async (t) => {
        const clients: PuppetSocket[] = [];
        for (let i = 0; i < 5; i++) {
          const client = await outside.socket(way.family, 'SOCK_DGRAM');
          await client.do('sendto', { bytes: `client ${String(i)}` }, [
            i % 2 === 0 ? way.blocked : way.open,
            PORT,
          ]);
          clients.push(client);
        }
        for (const i of clients.keys()) {
          const [said, from] = (await receiver.server.do('recvfrom', 64)) as [
            string,
            [string, number],
          ];
          t.equal(said, `client ${String(i)}`);
          t.equal(
            await receiver.server.try('sendto', { bytes: `hello ${said}` }, [from[0], from[1]]),
            'ok',
          );
        }
        for (const [i, client] of clients.entries())
          t.equal(await client.do('recv', 64), `hello client ${String(i)}`);
      },
    );
  }

  await t.test(
    'is refused when it begins: TCP, UDP to strangers, other ports of its clients, ping',
    async (t) => {
      const client = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await client.do('bind', ['127.1.2.3', 0]);
      const port = await client.port();
      await client.do('sendto', { bytes: 'hello' }, ['127.1.2.4', PORT]);
      await receiver.server.do('recv', 64);
      const answer = (to: number): Promise<string> =>
        receiver.server.try('sendto', { bytes: 'x' }, ['::ffff:127.1.2.3', to]);
      t.equal(await answer(port), 'ok');
      t.equal(await answer(port === 65535 ? 65534 : port + 1), 'EPERM');
      const fresh = await inside.socket('AF_INET', 'SOCK_DGRAM');
      t.equal(
        await fresh.try('sendto', { bytes: 'x' }, ['127.1.2.3', port]),
        'EPERM',
        'another socket',
      );
      const connected = await inside.socket('AF_INET', 'SOCK_DGRAM');
      await connected.do('connect', ['127.1.2.3', port]);
      t.equal(
        await connected.try('send', { bytes: 'x' }),
        'EPERM',
        'a connected socket that nobody wrote to',
      );
      const stream = await inside.socket();
      t.equal(await stream.try('connect', ['127.1.2.3', 1]), 'EPERM');
      const ping = await pingSocket(inside, IPV4);
      t.equal(await ping.try('sendto', echoRequest(IPV4, 1), ['127.1.2.3', 0]), 'EPERM');
    },
  );
});

t.test('the ends of conversations, and what the kernel says about them', async (t) => {
  const { inside, outside, apply } = scene(t);
  await apply(strictClient(['127.0.0.0/8', '2001:db8::/32']));
  const listener = await listen(outside);
  for (const way of WAYS) {
    await t.test(
      `a client over ${way.name} gets what follows its half-close, and much at once`,
      async (t) => {
        const pair = await connectPair(inside, way, listener);
        const much = 'x'.repeat(300_000);
        await pair.client.do('send', { bytes: 'please' });
        t.equal(await pair.server.do('recv', 64), 'please');
        await pair.client.do('shutdown', 1);
        t.equal(await pair.server.do('recv', 64), '');
        await pair.server.do('sendall', { bytes: much });
        await pair.server.do('close');
        let received = 0;
        for (let part = ' '; part !== ''; received += part.length)
          part = (await pair.client.do('recv', 1_000_000)) as string;
        t.equal(received, much.length);
      },
    );
    await t.test(`a client over ${way.name} hears of closed ports, TCP and UDP`, async (t) => {
      const stream = await inside.socket(way.family);
      t.equal(await stream.try('connect', [way.blocked, 1]), 'ECONNREFUSED');
      const socket = await inside.socket(way.family, 'SOCK_DGRAM');
      await socket.do('connect', [way.blocked, 1]);
      await socket.do('send', { bytes: 'x' });
      t.equal(await socket.try('recv', 1), 'ECONNREFUSED');
    });
  }

  await t.test('two ends in one cgroup need the rules of both directions', async (t) => {
    const own = await listen(inside, PORT);
    const rules = {
      egress: { default: 'drop', rules: [{ action: 'allow', to: 'any', ports: [PORT] }] },
    };
    await apply({
      ...rules,
      ingress: { default: 'drop', rules: [{ action: 'allow', from: BLOCKED, ports: [PORT] }] },
    });
    for (const way of [IPV4, IPV6]) {
      const client = await inside.socket(way.family);
      await client.do('bind', [way.blocked, 0]);
      await client.do('connect', [way.blocked, PORT]);
      t.equal(await talk({ client, server: await own.server.accept() }), 'both', way.name);
      const stranger = await inside.socket(way.family);
      await stranger.do('bind', [way.open, 0]);
      await stranger.do('settimeout', 0.3);
      t.equal(await stranger.try('connect', [way.blocked, PORT]), 'TIMEOUT', way.name);
    }
  });

  await t.test(
    'a raw socket under default-deny ingress hears nothing, and what it began',
    async (t) => {
      await apply({ ...strictClient('127.1.2.3'), raw: 'allow' });
      const raw = await inside.socket('AF_INET', 'SOCK_RAW', 'IPPROTO_UDP');
      const sender = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await sender.do('bind', ['127.1.2.4', 0]);
      await sender.do('sendto', { bytes: 'stranger' }, ['127.0.0.1', 9]);
      t.equal(await raw.do('readable', 0.2), false);
      await apply({ egress: { default: 'allow' }, raw: 'allow' });
      await sender.do('sendto', { bytes: 'stranger' }, ['127.0.0.1', 9]);
      t.ok(((await raw.do('recv', 64)) as string).endsWith('stranger'));
    },
  );
});

t.test('connections that begin in other ways', async (t) => {
  const { netns, inside, outside, apply } = scene(t);
  netns.sysctl('net/ipv4/tcp_fastopen', '1543'); // both ends, and no cookie is asked for
  const MSG_FASTOPEN = 0x20000000;
  const IPPROTO_TCP = 6;
  const TCP_FASTOPEN = 23;
  const IPPROTO_MPTCP = 262;

  async function fastOpen(client: Puppet, server: Puppet, way: Way): Promise<string> {
    const listener = await listen(server, server === inside ? PORT : 0);
    await listener.server.do('setsockopt', IPPROTO_TCP, TCP_FASTOPEN, 5);
    const socket = await client.socket(way.family);
    await socket.do('sendto', { bytes: 'early' }, MSG_FASTOPEN, [way.blocked, listener.port]);
    const accepted = await listener.server.accept();
    if ((await accepted.do('recv', 64)) !== 'early') return 'nothing came with the SYN';
    const result = await talk({ client: socket, server: accepted });
    await listener.server.do('close');
    return result;
  }

  for (const way of WAYS) {
    await t.test(`TCP Fast Open over ${way.name}, as client and as server`, async (t) => {
      await apply(strictClient(BLOCKED));
      t.equal(await fastOpen(inside, outside, way), 'both');
      await apply(serverOnly('any'));
      t.equal(await fastOpen(outside, inside, way), 'both');
    });
  }

  await t.test('MPTCP, as client and as server', async (t) => {
    const made = await inside.trySocket('AF_INET', 'SOCK_STREAM', IPPROTO_MPTCP);
    if (made !== 'ok') {
      t.comment(`skipped: this kernel has no MPTCP (${made})`);
      return;
    }
    for (const [client, server, policy] of [
      [inside, outside, strictClient(BLOCKED)],
      [outside, inside, serverOnly('any')],
    ] as const) {
      await apply(policy);
      const listener = await server.socket('AF_INET', 'SOCK_STREAM', IPPROTO_MPTCP);
      await listener.do('setsockopt', 'SOL_SOCKET', 'SO_REUSEADDR', 1);
      await listener.do('bind', ['127.1.2.3', PORT]);
      await listener.do('listen', 5);
      const socket = await client.socket('AF_INET', 'SOCK_STREAM', IPPROTO_MPTCP);
      await socket.do('connect', ['127.1.2.3', PORT]);
      t.equal(await talk({ client: socket, server: await listener.accept() }), 'both');
      await listener.do('close');
    }
  });

  await t.test('a server that answers every SYN with a cookie', async (t) => {
    netns.sysctl('net/ipv4/tcp_syncookies', '2');
    await apply(serverOnly('any'));
    const listener = await listen(inside, PORT);
    for (const way of WAYS) {
      t.equal(await talk(await connectPair(outside, way, listener)), 'both', way.name);
    }
  });
});
