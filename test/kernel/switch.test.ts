// One word switches a policy: no packet meets half of one and half of another.
//
// Two policies differ in two addresses at once. Under P the first passes and the
// second is refused, under Q the reverse, so every single attempt, to whichever
// address, shows which policy it met. A sender that tries them in turn must see P
// for a while, then Q for a while, and so on: the policy it meets changes at most
// once for each switch. A switch in two steps (first one address, then the other)
// would be seen as more changes than switches: between the steps both addresses
// pass or both fail, which reads as P Q P Q, one change an attempt. The last test
// makes such switches and shows that they are found.

import t from 'tap';
import { listen, makeScene, policyText, receive } from './traffic.js';
import type { Scene } from './traffic.js';
import type { PuppetSocket } from './puppet.js';
import { Sandbox, until } from './sandbox.js';

const FIRST = '127.1.2.3';
const SECOND = '2001:db8::102:3';
/** In every list, and in none. */
const ALWAYS = '127.1.2.4';
const NEVER = '2001:db8::102:4';
const FLIPS = 200;
const LARGE_FLIPS = 4;

interface Seen {
  readonly met: readonly [number, number];
  readonly changes: number;
  readonly errors: object;
}

interface Watched {
  /** send or connect. */
  readonly kind: string;
  /** An IPv4 address and an IPv6 address. */
  readonly pair?: readonly [string, string];
}

/** Tries both addresses of each pair, a socket each, until `during` is over. */
async function watch(
  scene: Scene,
  watched: readonly Watched[],
  during: () => Promise<void>,
): Promise<Seen[]> {
  const { box, netns, cgroup, outside } = scene;
  const { port: udpPort } = await receive(outside);
  const { port: tcpPort } = await listen(outside);
  const sockets: PuppetSocket[] = [];
  for (const { kind, pair = [FIRST, SECOND] } of watched) {
    const socket = await box.puppet(cgroup, netns.name).socket('AF_INET6', 'SOCK_DGRAM');
    const port = kind === 'send' ? udpPort : tcpPort;
    await socket.do('alternate', kind, [
      [`::ffff:${pair[0]}`, port],
      [pair[1], port],
    ]);
    sockets.push(socket);
  }
  await during();
  const seen: Seen[] = [];
  for (const socket of sockets) seen.push((await socket.do('stop')) as Seen);
  return seen;
}

t.test('a switch between two policies', async (t) => {
  const scene = makeScene(new Sandbox());
  t.teardown(scene.close);
  const { box, cgroup } = scene;
  const allowing = (...to: string[]): string =>
    policyText([
      {
        name: 'web',
        cgroups: [cgroup],
        egress: { default: 'reject', rules: to.length === 0 ? [] : [{ action: 'allow', to }] },
      },
    ]);
  const [P, Q, NEITHER] = [allowing(FIRST), allowing(SECOND), allowing()];
  await box.apply(P);

  await t.test(
    `is met as a whole by UDP and TCP senders, ${String(FLIPS)} times under traffic`,
    async (t) => {
      const { generation: first } = (await box.json('status', box.policyFile)) as {
        generation: number;
      };
      const wrong: unknown[] = [];
      let events = 0;
      const stop = box.follow((event) => {
        events++;
        const refused = (Number(event['generation']) - first) % 2 === 0 ? SECOND : FIRST;
        if (event['verdict'] !== 'reject' || event['dst'] !== refused) wrong.push(event);
      });
      const seen = await watch(scene, [{ kind: 'send' }, { kind: 'connect' }], async () => {
        for (let flip = 1; flip <= FLIPS; flip++) await box.apply(flip % 2 === 1 ? Q : P);
      });
      stop();
      for (const { changes, met, errors } of seen) {
        t.ok(changes <= FLIPS, `${String(changes)} changes for ${String(FLIPS)} switches`);
        t.ok(changes > FLIPS / 4, 'the sender looked often enough');
        t.ok(met[0] > FLIPS && met[1] > FLIPS, `${String(met[0])} and ${String(met[1])} attempts`);
        t.same(errors, {});
      }
      t.ok(events > FLIPS, `${String(events)} events`);
      t.same(
        wrong,
        [],
        'each refusal belongs to the policy of the generation that its event names',
      );
    },
  );

  await t.test('in two steps would have been noticed', async (t) => {
    await box.apply(P);
    const [seen] = await watch(scene, [{ kind: 'send' }], async () => {
      for (let flip = 1; flip <= 10; flip++) {
        await box.apply(NEITHER);
        await box.apply(flip % 2 === 1 ? Q : P);
      }
    });
    t.ok(seen!.changes > 20, `${String(seen!.changes)} changes`);
  });

  await t.test('also of a table that grows does not leave a moment without a policy', async (t) => {
    const large = (to: string): string =>
      policyText(
        [
          {
            name: 'web',
            cgroups: [cgroup],
            egress: { default: 'reject', rules: [{ action: 'allow', to: [to, 'many'] }] },
          },
        ],
        { sets: { many: { file: 'many.netset' } } },
      );
    let flips = 0;
    const [seen] = await watch(scene, [{ kind: 'send' }], async () => {
      for (const size of [20_000, 60_000, 200_000]) {
        box.write(addresses(size), `${box.folder}/many.netset`);
        await box.apply(flips++ % 2 === 0 ? large(SECOND) : large(FIRST));
      }
    });
    t.ok(seen!.changes <= flips, `${String(seen!.changes)} changes for ${String(flips)} switches`);
    t.same(seen!.errors, {});
  });
  await t.test(
    `of lists of a million, ${String(LARGE_FLIPS)} times under traffic, misjudges nothing`,
    async (t) => {
      const rule = { action: 'allow', to: 'feed' };
      const text = policyText(
        [{ name: 'web', cgroups: [cgroup], egress: { default: 'reject', rules: [rule] } }],
        { sets: { feed: { file: 'feed.netset' } } },
      );
      const lists = [`${million(20)}${ALWAYS}\n${FIRST}\n`, `${million(60)}${ALWAYS}\n${SECOND}\n`];
      const put = async (flip: number): Promise<void> => {
        box.write(lists[flip % 2]!, `${box.folder}/feed.netset`);
        await box.apply(text);
      };
      await put(0);
      const [seen, steady] = await watch(
        scene,
        [{ kind: 'send' }, { kind: 'send', pair: [ALWAYS, NEVER] }],
        async () => {
          for (let flip = 1; flip <= LARGE_FLIPS; flip++) await put(flip);
        },
      );
      t.equal(seen!.changes, LARGE_FLIPS, 'one change for each switch');
      t.ok(seen!.met[0] > 1000 && seen!.met[1] > 1000, `${seen!.met.join(' and ')} attempts`);
      t.equal(steady!.met[1], 0, 'what both lists say is always so');
      t.ok(steady!.met[0] > 1000, `${String(steady!.met[0])} attempts`);
      t.same([seen!.errors, steady!.errors], [{}, {}]);
    },
  );
  await until(
    'nothing is left to do',
    async () => (await box.cgfw('diff', box.policyFile)).code === 0,
  );
});

/** Single addresses, none beside another, none of this host. */
function addresses(count: number, top = 20): string {
  return Array.from(
    { length: count },
    (_, i) =>
      `${String(top)}.${String(i >> 15)}.${String((i >> 7) & 255)}.${String((2 * i) & 255)}\n`,
  ).join('');
}

/** Four of five are IPv4; another `top` has no address in common. */
function million(top: number): string {
  const sites = Array.from(
    { length: 200_000 },
    (_, i) =>
      `2a${String(top)}:${(i >> 15).toString(16)}:${((2 * i) & 0xffff).toString(16)}::/48\n`,
  );
  return `${addresses(800_000, top)}${sites.join('')}`;
}
