// What becomes of conversations that are older than the rules, or than the attachment.

import t from 'tap';
import { asText, ipv4, SYN, tcp } from './packets.js';
import {
  BLOCKED,
  IPV4,
  IPV6,
  listen,
  makeScene,
  OPEN,
  policyText,
  receive,
  WAYS,
} from './traffic.js';
import type { Scene, Way } from './traffic.js';
import type { Puppet, PuppetSocket } from './puppet.js';
import { Sandbox, until } from './sandbox.js';

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
const NOTHING = { egress: { default: 'reject' }, ingress: { default: 'drop' } };

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

t.test('a change of rules meets live connections at once', async (t) => {
  const { inside, outside, apply } = scene(t);
  const abroad = await listen(outside);
  const home = await listen(inside, PORT);

  /** `message` is sent before anything can pass, and arrives when it may. */
  async function waits(from: PuppetSocket, to: PuppetSocket, message: string): Promise<boolean> {
    await from.do('send', { bytes: message });
    return (await to.do('readable', 0.3)) === false;
  }

  for (const way of WAYS) {
    await t.test(`of a client over ${way.name}: stopped, and on again`, async (t) => {
      await apply(strictClient(BLOCKED));
      const pair = await connectPair(inside, way, abroad);
      t.equal(await talk(pair), 'both');
      await apply({ egress: { default: 'drop' }, ingress: { default: 'drop' } });
      t.ok(await waits(pair.client, pair.server, 'out'));
      t.ok(await waits(pair.server, pair.client, 'in'));
      await apply(strictClient(BLOCKED));
      t.equal(await pair.server.do('recv', 64), 'out');
      t.equal(await pair.client.do('recv', 64), 'in');
    });
    await t.test(`of a server over ${way.name}: stopped, and on again`, async (t) => {
      await apply(serverOnly('any'));
      const pair = await connectPair(outside, way, home);
      t.equal(await talk(pair), 'both');
      await apply({ egress: { default: 'drop' }, ingress: { default: 'drop' } });
      t.ok(await waits(pair.server, pair.client, 'out'));
      t.ok(await waits(pair.client, pair.server, 'in'));
      await apply(serverOnly('any'));
      t.equal(await pair.client.do('recv', 64), 'out');
      t.equal(await pair.server.do('recv', 64), 'in');
    });
  }

  await t.test(
    "a server's connections are not kept alive by a rule for clients, nor a client's by one for servers",
    async (t) => {
      await apply(serverOnly('any'));
      const served = await connectPair(outside, IPV4, home);
      await apply({ egress: { default: 'allow' }, ingress: { default: 'drop' } });
      t.ok(await waits(served.client, served.server, 'in'));
      t.ok(await waits(served.server, served.client, 'out'));
      const asked = await connectPair(inside, IPV4, abroad);
      await apply({ egress: { default: 'reject' }, ingress: { default: 'allow' } });
      t.ok(await waits(asked.server, asked.client, 'in'));
    },
  );

  await t.test('an established connection that is rejected fails within seconds', async (t) => {
    await apply(CLIENT);
    const started = performance.now();
    const pair = await connectPair(inside, IPV4, abroad);
    t.equal(await talk(pair), 'both');
    await apply({ egress: { default: 'allow', rules: [{ action: 'reject', to: BLOCKED }] } });
    await pair.client.do('settimeout', 15);
    await pair.client.do('send', { bytes: 'x' });
    t.equal(await pair.client.try('recv', 1), 'ETIMEDOUT');
    t.ok(performance.now() - started < 12_000);
  });

  await t.test('a UDP exchange stops and goes on with the rule that let it begin', async (t) => {
    await apply(serverOnly('any'));
    const receiver = await receive(inside, PORT);
    const client = await outside.socket('AF_INET', 'SOCK_DGRAM');
    await client.do('bind', ['127.1.2.3', 0]);
    const from = ['::ffff:127.1.2.3', await client.port()] as const;
    await client.do('sendto', { bytes: 'one' }, ['127.1.2.4', PORT]);
    t.equal(await receiver.server.do('recv', 64), 'one');
    await apply(NOTHING);
    t.equal(await receiver.server.try('sendto', { bytes: 'x' }, from), 'EPERM');
    await client.do('sendto', { bytes: 'two' }, ['127.1.2.4', PORT]);
    await apply(serverOnly('any'));
    t.equal(await receiver.server.try('sendto', { bytes: 'x' }, from), 'ok');
    await client.do('sendto', { bytes: 'three' }, ['127.1.2.4', PORT]);
    t.equal(await receiver.server.do('recv', 64), 'three');

    await apply(strictClient(BLOCKED));
    await client.do('sendto', { bytes: 'four' }, ['127.1.2.4', PORT]);
    t.equal(
      await receiver.server.try('sendto', { bytes: 'y' }, from),
      'ok',
      'what began outside begins anew inside',
    );
    await client.do('sendto', { bytes: 'five' }, ['127.1.2.4', PORT]);
    t.equal(await receiver.server.do('recv', 64), 'five');
  });

  await t.test('a forged SYN changes nothing about a connection', async (t) => {
    await apply(strictClient(BLOCKED));
    const pair = await connectPair(inside, IPV4, abroad);
    t.equal(await talk(pair), 'both');
    const raw = await outside.socket('AF_INET', 'SOCK_RAW', 'IPPROTO_RAW');
    const [local, localPort] = (await pair.client.do('getsockname')) as [string, number];
    const ends = { source: '127.1.2.3', destination: local };
    const segment = tcp(ends, { from: abroad.port, to: localPort }, SYN);
    await raw.do('sendto', asText(ipv4({ ...ends, protocol: 6, payload: segment })), [local, 0]);
    t.equal(await talk(pair), 'both');
  });
});

t.test('what began while both directions allowed everything', async (t) => {
  const { inside, outside, apply } = scene(t);
  const abroad = await listen(outside);
  const home = await listen(inside, PORT);
  const any = (key: string): object => ({
    default: 'drop',
    rules: [{ action: 'allow', [key]: 'any' }],
  });

  async function stops({ client, server }: Pair): Promise<boolean> {
    await client.do('send', { bytes: 'out' });
    await server.do('send', { bytes: 'in' });
    const ends = [client, server].map((socket) => socket.do('readable', 0.3));
    return (await Promise.all(ends)).every((isReadable) => isReadable === false);
  }

  for (const [how, open] of [
    ['by leaving them out', {}],
    ['by rules', { egress: any('to'), ingress: any('from') }],
  ] as const) {
    for (const way of [IPV4, IPV6]) {
      await t.test(
        `${how}: connections over ${way.name} go on or stop with the rules of who began`,
        async (t) => {
          const begin = async (): Promise<{ asked: Pair; served: Pair }> => {
            await apply(open);
            const asked = await connectPair(inside, way, abroad);
            const served = await connectPair(outside, way, home);
            for (const pair of [asked, served]) t.equal(await talk(pair), 'both');
            return { asked, served };
          };
          const first = await begin();
          await apply(strictClient([...BLOCKED, ...OPEN]));
          t.equal(await talk(first.asked), 'both', 'a client under default-deny ingress');
          t.ok(await stops(first.served), 'what was served');
          const second = await begin();
          await apply(serverOnly('any'));
          t.equal(await talk(second.served), 'both', 'a server under default-deny egress');
          t.ok(await stops(second.asked), 'what was asked');
          const third = await begin();
          await apply({ ...open, egress: { default: 'reject' } });
          t.equal(await talk(third.served), 'both', 'a server that may not begin');
          t.ok(await stops(third.asked), 'although ingress would allow half of it');
          const fourth = await begin();
          await apply({ ...open, ingress: { default: 'drop' } });
          t.equal(await talk(fourth.asked), 'both', 'a client that may not be reached');
          t.ok(await stops(fourth.served), 'although egress would allow half of it');
        },
      );
    }

    await t.test(`${how}: UDP is answered again after the next question`, async (t) => {
      await apply(open);
      const { server } = await receive(inside, PORT);
      const own = await inside.socket('AF_INET', 'SOCK_DGRAM');
      await own.do('bind', ['127.1.2.4', 0]);
      const other = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await other.do('bind', ['127.1.2.3', 0]);
      const [ownPort, otherPort] = [await own.port(), await other.port()];
      const ask = async (text: string): Promise<void> => {
        await own.do('sendto', { bytes: text }, ['127.1.2.3', otherPort]);
        t.equal(await other.do('recv', 64), text);
        await other.do('sendto', { bytes: `${text} to you` }, ['127.1.2.4', ownPort]);
        t.equal(await own.do('recv', 64), `${text} to you`);
      };
      const serve = async (text: string): Promise<void> => {
        await other.do('sendto', { bytes: text }, ['127.1.2.4', PORT]);
        t.equal(await server.do('recv', 64), text);
        const to = ['::ffff:127.1.2.3', otherPort] as const;
        t.equal(await server.try('sendto', { bytes: `${text} to you` }, to), 'ok');
        t.equal(await other.do('recv', 64), `${text} to you`);
      };
      const stranger = await outside.socket('AF_INET', 'SOCK_DGRAM');
      await ask('hello');
      await serve('hello');
      await apply({ ...open, ingress: { default: 'drop' } });
      await stranger.do('sendto', { bytes: 'stranger' }, ['127.1.2.4', ownPort]);
      await ask('and again');
      await apply(open);
      await ask('hello');
      await serve('hello');
      await apply({ ...open, egress: { default: 'reject' } });
      const to = ['127.1.2.3', otherPort] as const;
      t.equal(await own.try('sendto', { bytes: 'refused' }, to), 'EPERM');
      await serve('and again');
      await server.do('close');
    });
  }
});

t.test('what is older than the attachment', async (t) => {
  const { box, inside, outside, cgroup } = scene(t);
  const policy = (body: object): string =>
    policyText([{ name: 'web', cgroups: [cgroup], ...body }]);
  const abroad = await listen(outside);
  const home = await listen(inside, PORT);
  const ways = [IPV4, IPV6];
  const clients: Pair[] = [];
  const servers: Pair[] = [];
  for (const way of ways) {
    clients.push(await connectPair(inside, way, abroad));
    servers.push(await connectPair(outside, way, home));
  }

  async function silent(pairs: readonly Pair[]): Promise<boolean> {
    for (const { client, server } of pairs) {
      await client.do('send', { bytes: 'late' });
      await server.do('send', { bytes: 'late' });
    }
    for (const { client, server } of pairs) {
      if (
        (await client.do('readable', 0.1)) === true ||
        (await server.do('readable', 0.1)) === true
      )
        return false;
    }
    return true;
  }
  async function comesThrough(pairs: readonly Pair[]): Promise<void> {
    for (const { client, server } of pairs) {
      for (const socket of [client, server]) {
        await until(
          'what was held back arrives',
          async () => (await socket.try('recv', 4)) === 'ok',
        );
      }
    }
  }

  await t.test('is stopped where the rules of neither direction allow it', async (t) => {
    await box.apply(policy({ egress: { default: 'drop' }, ingress: { default: 'drop' } }));
    t.ok(await silent([...clients, ...servers]));
  });
  await t.test('goes on as a client by an egress rule alone', async (t) => {
    await box.apply(policy(strictClient([...BLOCKED, ...OPEN])));
    await comesThrough(clients);
    for (const pair of clients) t.equal(await talk(pair), 'both');
  });
  await t.test('goes on as a server by an ingress rule alone', async (t) => {
    await box.apply(policy(serverOnly('any')));
    await comesThrough(servers);
    for (const pair of servers) t.equal(await talk(pair), 'both');
  });
});
