// Verdicts in the log: who, what, which rule, which line.

import { join } from 'node:path';
import t from 'tap';
import { control as controlAt } from '../../src/abi/layout.gen.js';
import { openPinnedMap, openRing } from '../../src/kernel/native.js';
import { renderEvent } from '../../src/report/verdict.js';
import type { VerdictEvent } from '../../src/report/verdict.js';
import { IPV4, listen, makeScene, receive, tryConnect } from './traffic.js';
import type { Scene } from './traffic.js';
import { Sandbox, until } from './sandbox.js';

type Event = VerdictEvent & { readonly generation: number };

function scene(t: { teardown: (end: () => Promise<void>) => void }): Scene {
  const made = makeScene(new Sandbox());
  t.teardown(made.close);
  return made;
}

/** What is logged while `during` runs. */
async function logged({ box }: Scene, during: () => Promise<void>): Promise<Event[]> {
  const log: Event[] = [];
  const stop = box.follow((event) => void log.push(event as unknown as Event));
  await during();
  stop();
  return log;
}

const brief = ({ hook, verdict, rule, proto }: Event): string =>
  `${hook} ${verdict} ${rule ?? '?'} ${proto}`;

t.test('a blocklist of one address with `log: all` has one line for each verdict', async (t) => {
  const made = scene(t);
  const { box, inside, outside, cgroup } = made;
  const { port } = await receive(outside);
  await box.apply(
    [
      'version: 1',
      'sets:',
      '  blocklist: [127.1.2.3]',
      'policies:',
      '  - name: demo',
      `    cgroups: [${cgroup}]`,
      '    log: all',
      '    egress:',
      '      default: allow',
      '      rules:',
      '        - {action: drop, to: blocklist}',
    ].join('\n'),
  );
  const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
  await socket.do('bind', ['127.0.0.1', 0]);
  const sport = await socket.port();
  const log = await logged(made, async () => {
    for (const address of ['127.1.2.3', '127.1.2.4', '127.1.2.3']) {
      await socket.do('sendto', { bytes: '12345' }, [address, port]);
    }
  });
  const common = {
    policy: 'demo',
    cgroup,
    hook: 'egress',
    direction: 'egress',
    proto: 'udp',
    src: '127.0.0.1',
    sport,
    dport: port,
    length: 33,
    pid: inside.pid,
    comm: 'python3',
  };
  t.equal(log.length, 3);
  t.match(log, [
    { ...common, verdict: 'drop', rule: '0', line: 11, dst: '127.1.2.3' },
    { ...common, verdict: 'allow', rule: 'default', line: 9, dst: '127.1.2.4' },
    { ...common, verdict: 'drop', rule: '0', line: 11, dst: '127.1.2.3' },
  ]);
  const [first] = log;
  t.ok(
    first!.cookie > 0 && log.every(({ cookie }) => cookie === first!.cookie),
    'one socket, one cookie',
  );
  t.ok(Math.abs(Date.parse(first!.time) - Date.now()) < 5000, first!.time);
  const line = `drop    demo egress#0  udp 127.0.0.1:${String(sport)} -> 127.1.2.3:${String(port)}  python3[${String(inside.pid)}]  (egress)`;
  t.equal(renderEvent(first!), line);
});

t.test('one HTTP exchange shows connect, egress and ingress with one socket cookie', async (t) => {
  const made = scene(t);
  const { inside, outside, apply, cgroup } = made;
  await apply({ log: 'all', egress: { default: 'allow' }, ingress: { default: 'drop' } });
  const port = await outside.serveHttp();
  const log = await logged(made, async () => {
    t.same(await inside.getHttp(`http://127.0.0.1:${String(port)}/`), [200, 'hello\n']);
  });
  const [cookie] = new Set(log.map((event) => event.cookie));
  t.ok(cookie! > 0);
  for (const event of log) {
    t.match(event, {
      policy: 'web',
      cgroup,
      verdict: 'allow',
      proto: 'tcp',
      cookie,
      pid: inside.pid,
      comm: 'python3',
    });
  }
  t.equal(log[0]!.hook, 'connect');
  t.match(log[0], { dst: '127.0.0.1', dport: port });
  const hooks = new Set(log.map(({ hook }) => hook));
  t.same([...hooks].sort(), ['connect', 'egress', 'ingress']);
  t.ok(
    log.every(({ rule, direction }) => rule === 'default' && direction === 'egress'),
    'answers by the rule that let them begin',
  );
});

t.test('how much is logged', async (t) => {
  const made = scene(t);
  const { inside, outside, apply } = made;
  const { port: tcpPort } = await listen(outside);
  const traffic = async (): Promise<void> => {
    const peer = await outside.socket('AF_INET', 'SOCK_DGRAM');
    await peer.do('bind', ['127.1.2.4', 0]);
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    await socket.do('connect', ['127.1.2.4', await peer.port()]);
    for (let i = 0; i < 3; i++) {
      await socket.do('send', { bytes: 'question' });
      const [, from] = (await peer.do('recvfrom', 64)) as [string, [string, number]];
      await peer.do('sendto', { bytes: 'answer' }, from);
      await socket.do('recv', 64);
    }
    t.equal(await tryConnect(inside, IPV4, '127.1.2.4', tcpPort), 'ok');
    t.equal(await tryConnect(inside, IPV4, '127.1.2.3', tcpPort), 'EPERM');
    const refused = await inside.socket('AF_INET', 'SOCK_DGRAM');
    for (let i = 0; i < 2; i++)
      t.equal(await refused.try('sendto', { bytes: 'x' }, ['127.1.2.3', 9]), 'EPERM');
  };
  const policy = (log: string, more: object = {}): object => ({
    log,
    egress: { default: 'allow', rules: [{ action: 'reject', to: '127.1.2.3', ...more }] },
    ingress: { default: 'drop' },
  });
  const refusals = ['connect reject 0 tcp', 'egress reject 0 udp', 'egress reject 0 udp'];
  for (const [log, title, expected] of [
    ['none', 'none: nothing', []],
    ['denied', 'denied: each denied packet', refusals],
    [
      'new',
      'new: also the first packet of a flow',
      ['egress allow default udp', 'egress allow default tcp', ...refusals],
    ],
  ] as const) {
    await t.test(title, async (t) => {
      await apply(policy(log));
      t.same((await logged(made, traffic)).map(brief), expected);
    });
  }
  await t.test('all: every packet of a flow, in both directions', async (t) => {
    await apply(policy('all'));
    const log = await logged(made, traffic);
    const udp = log
      .filter(({ proto, verdict }) => proto === 'udp' && verdict === 'allow')
      .map(({ hook }) => hook);
    t.same(udp, ['egress', 'ingress', 'egress', 'ingress', 'egress', 'ingress']);
  });
  await t.test("a rule's own word counts for that rule", async (t) => {
    await apply(policy('denied', { log: 'none' }));
    t.same((await logged(made, traffic)).map(brief), []);
    await apply(policy('none', { log: 'denied' }));
    t.same((await logged(made, traffic)).map(brief), refusals);
  });
});

t.test('ping and raw sockets are told by type and by hook', async (t) => {
  const made = scene(t);
  const { inside, apply } = made;
  await apply({
    raw: 'deny',
    log: 'denied',
    egress: { default: 'allow', rules: [{ action: 'reject', to: 'any', ports: ['icmp'] }] },
  });
  const log = await logged(made, async () => {
    t.equal(await inside.trySocket('AF_INET', 'SOCK_RAW', 'IPPROTO_ICMP'), 'EPERM');
    const ping = await inside.socket('AF_INET', 'SOCK_DGRAM', 'IPPROTO_ICMP');
    t.equal(await ping.try('sendto', { bytes: '\b\0\0\0\0\0\0\u0001' }, ['127.0.0.1', 0]), 'EPERM');
  });
  t.match(log, [
    {
      hook: 'socket',
      verdict: 'reject',
      rule: 'raw',
      proto: 'icmp',
      pid: inside.pid,
      comm: 'python3',
    },
    { hook: 'egress', verdict: 'reject', rule: '0', proto: 'icmp', type: 8, dst: '127.0.0.1' },
  ]);
});

interface Totals {
  readonly emitted: number;
  readonly suppressed: number;
  readonly lost: number;
}

t.test('too many events are counted, never lost in silence', async (t) => {
  const made = scene(t);
  const { box, inside, apply } = made;
  const totals = async (): Promise<Totals> =>
    (await box.json('status', box.policyFile))['events'] as Totals;
  const burst = async (count: number): Promise<void> => {
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    t.same(await socket.do('burst', count, 1, ['127.1.2.3', 9]), { EPERM: count });
  };
  const policy = (log: string): object => ({
    log,
    egress: { default: 'allow', rules: [{ action: 'reject', to: '127.1.2.3' }] },
  });

  await t.test(
    'ten thousand a second for each rule and CPU are enough; the others are suppressed and counted',
    async (t) => {
      await apply(policy('denied'));
      let seen = 0;
      const stop = box.follow(() => seen++);
      const started = performance.now();
      await burst(100_000);
      const seconds = Math.ceil((performance.now() - started) / 1000) + 1;
      stop();
      const { emitted, suppressed, lost } = await totals();
      t.equal(emitted + suppressed + lost, 100_000);
      t.equal(seen, emitted);
      t.equal(lost, 0);
      t.ok(emitted >= 10_000, `${String(emitted)} emitted`);
      t.ok(
        emitted <= 10_000 * seconds * 2,
        `${String(emitted)} emitted in ${String(seconds)} s on two CPUs`,
      );
    },
  );

  await t.test('a full ring loses events, counts them, and goes on when it is read', async (t) => {
    await apply(policy('all'));
    const before = await totals();
    await burst(100_000); // 12 MB, where 8 fit; nobody reads
    const full = await totals();
    t.equal(full.suppressed, before.suppressed, '`all` is not limited');
    t.ok(full.lost > before.lost, `${String(full.lost)} lost`);
    t.equal(full.emitted + full.lost - before.emitted - before.lost, 100_000);
    const log = await logged(made, () => burst(10));
    t.equal(log.length, 10);
    await until('the count stands', async () => (await totals()).lost === full.lost);
  });
});

t.test(
  'a reader that has lain down is woken by the next event, and by that one only',
  async (t) => {
    const made = scene(t);
    const { box, inside, apply } = made;
    await apply({ egress: { default: 'allow', rules: [{ action: 'reject', to: '127.1.2.3' }] } });
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    const denied = async (): Promise<void> => {
      t.same(await socket.do('burst', 1, 1, ['127.1.2.3', 9]), { EPERM: 1 });
    };
    const control = openPinnedMap(join(box.place.pinRoot, 'shared', 'control'));
    t.teardown(() => control.close());
    const isAsleep = (): boolean => control.loadWord(controlAt.asleep) === 1n;

    await t.test('by the programs', async (t) => {
      const events = openPinnedMap(join(box.place.pinRoot, 'shared', 'events'));
      let wakeUps = 0;
      let records = 0;
      const ring = openRing(events, (_bytes, sizes) => {
        wakeUps++;
        records += sizes.length;
      });
      t.teardown(() => {
        ring.close();
        events.close();
      });
      for (let round = 1; round <= 3; round++) {
        control.storeWord(controlAt.asleep, 1n);
        await denied();
        await until('the reader is woken', () => wakeUps === round);
        t.equal(records, 3 * round - 2);
        t.notOk(isAsleep(), 'whoever wakes it clears the word');
        await denied();
        await denied();
        t.equal(ring.consume(), 2, 'nobody has told us of these');
        wakeUps = round;
      }
    });

    await t.test('and the reader lies down again when it is quiet', async (t) => {
      let seen = 0;
      const stop = box.follow(() => seen++);
      for (let round = 1; round <= 3; round++) {
        await until('the reader sleeps', isAsleep);
        await denied();
        await until('the event is there', () => seen === round);
      }
      stop();
      t.notOk(isAsleep(), 'a reader that is gone asks for nothing');
    });
  },
);
