// Policies of a cgroup and of its ancestors, and policies that select the same cgroup.

import t from 'tap';
import { IPV4, listen, policyText, receive, tryConnect } from './traffic.js';
import { Netns } from './netns.js';
import { Sandbox } from './sandbox.js';

interface Explanation {
  readonly verdict: string;
  readonly policy: string | null;
  readonly rule: string | null;
  readonly chain: readonly {
    readonly cgroup: string;
    readonly policy: string;
    readonly verdict: string;
  }[];
}

const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];

t.test('nested cgroups', async (t) => {
  const box = new Sandbox();
  const netns = new Netns();
  t.teardown(async () => {
    await box.close();
    netns.close();
  });
  const parent = box.cgroup('parent');
  const child = box.cgroup('parent/child');
  const inside = box.puppet(child, netns.name);
  const outside = box.puppet(box.cgroup('outside'), netns.name);
  const { port } = await listen(outside);
  const receiver = await receive(outside);
  const allowing = (
    name: string,
    cgroup: string,
    to: readonly string[],
    more: object = {},
  ): object => ({
    name,
    cgroups: [cgroup],
    egress: { default: 'reject', rules: [{ action: 'allow', to }] },
    ...more,
  });
  const connects = async (): Promise<string> => {
    const results: string[] = [];
    for (const address of ADDRESSES) results.push(await tryConnect(inside, IPV4, address, port));
    return results.join(' ');
  };
  const sends = async (): Promise<string> => {
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    const results: string[] = [];
    for (const address of ADDRESSES)
      results.push(await socket.try('sendto', { bytes: 'x' }, [address, receiver.port]));
    return results.join(' ');
  };
  const explain = async (address: string): Promise<Explanation> => {
    const target = `${address}:${String(port)}`;
    return (await box.json(
      'explain',
      '--cgroup',
      child,
      'egress',
      'tcp',
      target,
    )) as unknown as Explanation;
  };

  const both = [
    allowing('above', parent, ['127.0.0.1', '127.0.0.2']),
    allowing('below', child, ['127.0.0.2', '127.0.0.3']),
  ];

  await t.test(
    'a packet passes only if every policy on the way to the root allows it',
    async (t) => {
      await box.apply(policyText(both));
      t.equal(await connects(), 'EPERM ok EPERM');
      t.equal(await sends(), 'EPERM ok EPERM');
    },
  );
  await t.test('explain shows the chain, and who decides', async (t) => {
    const denied = await explain('127.0.0.3');
    t.match(denied, { verdict: 'reject', policy: 'above', rule: 'default' });
    t.match(denied.chain, [
      { cgroup: child, policy: 'below', verdict: 'allow' },
      { cgroup: parent, policy: 'above', verdict: 'reject' },
    ]);
    t.match(await explain('127.0.0.1'), { verdict: 'reject', policy: 'below' });
    t.match(await explain('127.0.0.2'), { verdict: 'allow', policy: 'below' });
  });
  await t.test('an ancestor that only watches lets the child decide', async (t) => {
    await box.apply(policyText([{ ...both[0], mode: 'audit' }, both[1]!]));
    t.equal(await connects(), 'EPERM ok ok');
  });
  await t.test('with the ancestor gone, the child decides alone', async (t) => {
    await box.apply(policyText([both[1]!]));
    t.equal(await connects(), 'EPERM ok ok');
    t.equal(await sends(), 'EPERM ok ok');
    t.equal((await explain('127.0.0.3')).chain.length, 1);
  });
  await t.test('with the child gone, the ancestor decides for what is below it', async (t) => {
    await box.apply(policyText([both[0]!]));
    t.equal(await connects(), 'ok ok EPERM');
    t.equal(await sends(), 'ok ok EPERM');
    t.match(await explain('127.0.0.3'), { verdict: 'reject', policy: 'above' });
  });
  await t.test('of two policies that select a cgroup, the first owns it', async (t) => {
    const one = allowing('one', child, ['127.0.0.1']);
    const glob = allowing('glob', `${parent}/*`, ['127.0.0.3']);
    await box.apply(policyText([one, glob]));
    t.equal(await connects(), 'ok EPERM EPERM');
    t.match(await explain('127.0.0.1'), { policy: 'one', chain: [{ policy: 'one' }] });
    await box.apply(policyText([glob, one]));
    t.equal(await connects(), 'EPERM EPERM ok');
    await box.apply(policyText([one]));
    t.equal(await connects(), 'ok EPERM EPERM');
  });
  await t.test('replies pass every policy on the way, each by its own rules', async (t) => {
    const closed = { ingress: { default: 'drop' } };
    await box.apply(
      policyText([
        { ...both[0], ...closed },
        { ...both[1], ...closed },
      ]),
    );
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    const peer = await outside.socket('AF_INET', 'SOCK_DGRAM');
    await peer.do('bind', ['127.0.0.2', 0]);
    await socket.do('sendto', { bytes: 'question' }, ['127.0.0.2', await peer.port()]);
    const [, from] = (await peer.do('recvfrom', 64)) as [string, [string, number]];
    await peer.do('sendto', { bytes: 'answer' }, from);
    t.equal(await socket.do('recv', 64), 'answer');
    t.equal(await tryConnect(inside, IPV4, '127.0.0.2', port), 'ok');
  });
});
