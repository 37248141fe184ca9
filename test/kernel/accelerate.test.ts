// Local TCP past the TCP stack, between real sockets of real cgroups.

import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import { attachMessages, openPinnedMap, openPinnedProgram } from '../../src/kernel/native.js';
import { listSets } from '../../src/kernel/pins.js';
import type { StatusAcceleration } from '../../src/report/acceleration.js';
import { Sandbox, until } from './sandbox.js';
import type { Puppet, PuppetSocket } from './puppet.js';

/** Python's socket module does not know it. */
const SO_ZEROCOPY = 60;

const sandbox = new Sandbox();
t.teardown(() => sandbox.close());
const client = sandbox.cgroup('client');
const server = sandbox.cgroup('server');
const outsider = sandbox.cgroup('outsider');

/** Both cgroups accelerate; more lines go to each policy. */
function policy(ofClient = '', ofServer = '', accelerate = 'true'): string {
  const one = (name: string, cgroup: string, more: string): string =>
    `  - name: ${name}\n    cgroups: [${cgroup}]\n    accelerate: ${accelerate}\n${more}`;
  return `version: 1\npolicies:\n${one('client', client, ofClient)}${one('server', server, ofServer)}`;
}

async function acceleration(): Promise<StatusAcceleration> {
  const status = await sandbox.json('status', sandbox.policyFile);
  return status['acceleration'] as StatusAcceleration;
}

interface Pair {
  readonly near: PuppetSocket;
  readonly far: PuppetSocket;
}

/** A connection from one puppet to the other, at a port of its own. */
async function connect(from: Puppet, to: Puppet, family = 'AF_INET', address = '127.0.0.1') {
  const isV6 = family === 'AF_INET6';
  const listener = await to.socket(isV6 && address.includes('.') ? 'AF_INET' : family);
  await listener.do('bind', [isV6 && !address.includes('.') ? address : '127.0.0.1', 0]);
  await listener.do('listen', 16);
  const near = await from.socket(family);
  await near.do('connect', [address, await listener.port()]);
  const far = await listener.accept();
  await listener.do('close');
  return { near, far } satisfies Pair;
}

async function say(from: PuppetSocket, to: PuppetSocket, text: string): Promise<string> {
  await from.do('sendall', { bytes: text });
  return (await to.do('recv', 65536)) as string;
}

const skip = canAccelerate() ? false : 'needs sk_msg programs, bpf_set_retval and kernel BTF';

t.test('local TCP', { skip }, async (t) => {
  await sandbox.apply(policy('', '', 'false'));
  t.equal(await acceleration(), null, 'nobody pays for what nobody asked for');
  sandbox.write(policy());
  const { stdout } = await sandbox.cgfw('diff', sandbox.policyFile);
  t.match(stdout, /^\+ load +programs +a policy accelerates$/m);
  t.match(stdout, / attach .* policy server: setsockopt sock_ops$/m);
  await sandbox.apply(policy());
  const inner = sandbox.puppet(client);
  const outer = sandbox.puppet(server);
  const foreign = sandbox.puppet(outsider);

  for (const [family, address] of [
    ['AF_INET', '127.0.0.1'],
    ['AF_INET6', '::1'],
    ['AF_INET6', '::ffff:127.0.0.1'],
  ] as const) {
    t.test(`is redirected between cgroups that accelerate: ${address}`, async (t) => {
      const before = await acceleration();
      const { near, far } = await connect(inner, outer, family, address);
      t.equal(await say(near, far, 'to the server'), 'to the server');
      t.equal(await say(far, near, 'and back'), 'and back');
      t.equal(await say(near, far, 'x'.repeat(60_000)), 'x'.repeat(60_000));
      const after = await acceleration();
      t.equal(after.connections - before.connections, 1);
      t.equal(after.redirected - before.redirected, 2);
      t.equal(after.messages - before.messages, 3);
      t.equal(after.bytes - before.bytes, 60_021);
      t.same(after.fallbacks, before.fallbacks);
      await near.do('close');
      t.equal(await far.do('recv', 1), '', 'the end is seen');
      await far.do('close');
      await until('the table is empty', async () => (await acceleration()).connections === 0);
    });
  }

  t.test('is left alone when only one end accelerates', async (t) => {
    const before = await acceleration();
    for (const [from, to] of [
      [inner, foreign],
      [foreign, outer],
    ] as const) {
      const { near, far } = await connect(from, to);
      t.equal(await say(near, far, 'to the server'), 'to the server');
      t.equal(await say(far, near, 'and back'), 'and back');
      await near.do('close');
      await far.do('close');
    }
    t.same(await acceleration(), before);
  });

  t.test('is counted by the rules of both policies', async (t) => {
    const { near, far } = await connect(inner, outer);
    const bytes = async (): Promise<number[]> => {
      const status = await sandbox.json('status', sandbox.policyFile);
      const policies = status['policies'] as { rules: { direction: string; bytes: number }[] }[];
      return policies.map(
        ({ rules }, index) =>
          rules.find(({ direction }) => direction === (index === 0 ? 'egress' : 'ingress'))!.bytes,
      );
    };
    const before = await bytes();
    await say(near, far, 'x'.repeat(1000));
    await say(far, near, 'x'.repeat(500));
    const after = await bytes();
    t.same(
      after.map((each, i) => each - before[i]!),
      [1500, 1500],
    );
    await near.do('close');
    await far.do('close');
  });

  t.test('obeys a rule that is tightened, and one that allows again', async (t) => {
    const { near, far } = await connect(inner, outer);
    t.equal(await say(near, far, 'allowed'), 'allowed');
    const passed = (await acceleration()).fallbacks['denied']!;
    const port = ((await far.do('getsockname')) as [string, number])[1];
    const deny = `    egress: {default: allow, rules: [{action: drop, to: 127.0.0.1, ports: [${String(port)}/tcp]}]}\n`;
    await sandbox.apply(policy(deny));
    await near.do('sendall', { bytes: 'denied' });
    t.equal(await far.try('recv', 10), 'TIMEOUT', 'nothing arrives');
    t.equal((await acceleration()).fallbacks['denied'], passed + 1);
    await sandbox.apply(policy());
    await far.do('settimeout', 30);
    t.equal(await far.do('recv', 10), 'denied', 'TCP sends it again once it may');
    t.equal(await say(near, far, 'again'), 'again');
    await near.do('close');
    await far.do('close');
  });

  t.test('obeys a rule of the other end that is tightened', async (t) => {
    const { near, far } = await connect(inner, outer);
    t.equal(await say(near, far, 'allowed'), 'allowed');
    await sandbox.apply(policy('', '    ingress: {default: drop}\n'));
    await near.do('sendall', { bytes: 'denied' });
    t.equal(await far.try('recv', 10), 'TIMEOUT', 'nothing arrives');
    await sandbox.apply(policy());
    await far.do('settimeout', 30);
    t.equal(await far.do('recv', 10), 'denied');
    await near.do('close');
    await far.do('close');
  });

  t.test('obeys a policy that comes upon it without a new generation', async (t) => {
    const late = `  - name: late\n    cgroups: [${server}/late]\n    accelerate: true\n    ingress: {default: drop}\n`;
    await sandbox.apply(policy().replace('policies:\n', `policies:\n${late}`));
    const deep = sandbox.puppet(sandbox.cgroup('server/late'));
    const { near, far } = await connect(inner, deep);
    t.equal(await say(near, far, 'before'), 'before');
    const { generation } = await sandbox.json('status', sandbox.policyFile);
    t.equal((await sandbox.cgfw('apply', sandbox.policyFile)).code, 0);
    t.equal((await sandbox.json('status', sandbox.policyFile))['generation'], generation);
    await near.do('sendall', { bytes: 'denied' });
    t.equal(await far.try('recv', 10), 'TIMEOUT', 'nothing arrives');
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
    await deep.close();
  });

  t.test('hands nothing to what a socket is connected to next', async (t) => {
    const { near, far } = await connect(inner, outer);
    await far.do('sendall', { bytes: 'for nobody else' });
    await near.do('disconnect');
    const listener = await outer.socket('AF_INET');
    await listener.do('bind', ['127.0.0.1', 0]);
    await listener.do('listen', 16);
    await near.do('connect', ['127.0.0.1', await listener.port()]);
    const next = await listener.accept();
    t.equal(await near.try('recv', 100), 'TIMEOUT', 'what was not read is gone');
    t.equal(await say(near, next, 'hello'), 'hello');
    t.equal(await say(next, near, 'and back'), 'and back');
    for (const socket of [near, far, next, listener]) await socket.do('close');
  });

  t.test('is left alone where zero copies were asked for before the policy came', async (t) => {
    await sandbox.apply(policy('', '', 'false'));
    const listener = await outer.socket('AF_INET');
    await listener.do('setsockopt', 'SOL_SOCKET', SO_ZEROCOPY, 1);
    await listener.do('bind', ['127.0.0.1', 0]);
    await listener.do('listen', 16);
    await sandbox.apply(policy());
    const before = await acceleration();
    const near = await inner.socket('AF_INET');
    await near.do('connect', ['127.0.0.1', await listener.port()]);
    const far = await listener.accept();
    t.equal(await say(far, near, 'to the client'), 'to the client');
    const after = await acceleration();
    t.equal(after.fallbacks['option'], before.fallbacks['option']! + 1);
    t.equal(after.messages, before.messages);
    for (const socket of [near, far, listener]) await socket.do('close');
  });

  t.test('begins again where a map or the program of messages was lost', async (t) => {
    const { pinRoot } = sandbox.place;
    const isRedirected = async (): Promise<boolean> => {
      const before = await acceleration();
      const { near, far } = await connect(inner, outer);
      t.equal(await say(near, far, 'hello'), 'hello');
      await near.do('close');
      await far.do('close');
      return (await acceleration()).messages === before.messages + 1;
    };
    unlinkSync(join(pinRoot, 'shared/members'));
    await sandbox.apply(policy());
    t.equal((await sandbox.cgfw('diff', sandbox.policyFile)).code, 0, 'one apply mends it');
    t.ok(await isRedirected());

    const other = new Sandbox();
    t.teardown(() => other.close());
    const elsewhere = other.cgroup('elsewhere');
    await other.apply(
      `version: 1\npolicies:\n  - {name: elsewhere, cgroups: [${elsewhere}], accelerate: true}\n`,
    );
    const set = listSets(other.place.pinRoot).at(-1)!.folder;
    const stranger = openPinnedProgram(join(other.place.pinRoot, set, 'redirect'));
    const sockets = openPinnedMap(join(pinRoot, 'shared/sockets'));
    attachMessages(stranger, sockets);
    for (const opened of [stranger, sockets]) opened.close();
    t.notOk(await isRedirected(), 'by the rules of another set it is not');
    await sandbox.apply(policy('    log: none\n'));
    t.ok(await isRedirected());
    await sandbox.apply(policy());
  });

  t.test(
    'keeps the policy of a removed cgroup that has a socket, though owners are unclear',
    async (t) => {
      const box = new Sandbox();
      t.teardown(() => box.close());
      const leaving = box.cgroup('leaving');
      const text = `version: 1\npolicies:\n  - {name: leaving, cgroups: [${leaving}], accelerate: true, egress: {default: reject}}\n`;
      await box.apply(text);
      const puppet = box.puppet(leaving);
      const socket = await puppet.socket('AF_INET', 'SOCK_DGRAM');
      const elsewhere = join(box.place.cgroupRoot, box.cgroup('elsewhere'), 'cgroup.procs');
      writeFileSync(elsewhere, String(puppet.pid));
      await box.removeCgroup(leaving);
      unlinkSync(join(box.place.pinRoot, 'shared/members'));
      await box.apply(text);
      const members = openPinnedMap(join(box.place.pinRoot, 'shared/members'));
      const ids = [...members.keys()];
      t.equal(ids.length, 1, 'what is made anew knows it');
      members.delete(ids[0]!);
      members.close();
      await box.apply(text);
      t.equal(await socket.try('sendto', { bytes: 'x' }, ['127.1.2.3', 9]), 'EPERM');
      await socket.do('close');
    },
  );

  t.test('stays redirected over a change that still allows it', async (t) => {
    const { near, far } = await connect(inner, outer);
    t.equal(await say(near, far, 'before'), 'before');
    await sandbox.apply(policy('    ingress: {default: drop}\n'));
    const before = await acceleration();
    t.equal(await say(near, far, 'after'), 'after');
    t.equal(await say(far, near, 'answer'), 'answer', 'a reply needs no rule');
    const after = await acceleration();
    t.equal(after.messages - before.messages, 2);
    t.same(after.fallbacks, before.fallbacks);
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
  });

  t.test('goes by TCP, and is logged, where a denial is only audited', async (t) => {
    const audit = '    mode: audit\n    egress: {default: drop}\n';
    await sandbox.apply(policy(audit));
    const verdicts: unknown[] = [];
    const stop = sandbox.follow(({ verdict, hook }) => void verdicts.push([verdict, hook]));
    const before = await acceleration();
    const { near, far } = await connect(inner, outer);
    t.equal(await say(near, far, 'audited'), 'audited');
    stop();
    t.ok(verdicts.length > 0);
    t.equal((await acceleration()).fallbacks['denied'], before.fallbacks['denied']! + 1);
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
  });

  t.test('goes by TCP where a rule logs every packet', async (t) => {
    await sandbox.apply(policy('    log: all\n'));
    const before = await acceleration();
    const { near, far } = await connect(inner, outer);
    t.equal(await say(near, far, 'logged'), 'logged');
    const after = await acceleration();
    t.equal(after.fallbacks['logged'], before.fallbacks['logged']! + 1);
    t.equal(after.messages, before.messages);
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
  });

  t.test('loses no byte that is on its way when acceleration is switched off', async (t) => {
    const { near, far } = await connect(inner, outer);
    await near.do('sendall', { bytes: 'one ' });
    await far.do('sendall', { bytes: 'uno ' });
    await sandbox.apply(policy('', '', 'false'));
    await near.do('sendall', { bytes: 'two' });
    await far.do('sendall', { bytes: 'due' });
    let arrived = '';
    while (arrived.length < 7) arrived += (await far.do('recv', 100)) as string;
    t.equal(arrived, 'one two');
    arrived = '';
    while (arrived.length < 7) arrived += (await near.do('recv', 100)) as string;
    t.equal(arrived, 'uno due');
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
  });

  t.test('loses no byte that is on its way when everything is taken down', async (t) => {
    const { near, far } = await connect(inner, outer);
    await near.do('sendall', { bytes: 'one ' });
    t.equal((await sandbox.cgfw('down')).code, 0);
    await near.do('sendall', { bytes: 'two' });
    let arrived = '';
    while (arrived.length < 7) arrived += (await far.do('recv', 100)) as string;
    t.equal(arrived, 'one two');
    t.equal(await say(far, near, 'and back'), 'and back');
    await near.do('close');
    await far.do('close');
    await sandbox.apply(policy());
  });
});
