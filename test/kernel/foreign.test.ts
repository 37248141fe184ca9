// Programs of others on our cgroups: left in place, and named when they are in the way.

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { attachCgroup, openObject, queryCgroup } from '../../src/kernel/native.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { IPV4, listen, policyText, tryConnect } from './traffic.js';
import { Netns } from './netns.js';
import { Sandbox } from './sandbox.js';

const OBJECT = join(PACKAGE_ROOT, 'build/test-bpf/native.bpf.o');
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

interface Status {
  readonly asDeclared: boolean;
  readonly policies: readonly {
    readonly name: string;
    readonly cgroups: readonly {
      readonly path: string;
      readonly state: string;
      readonly reason?: string;
    }[];
  }[];
}

function bpftool(...argv: readonly string[]): string {
  return execFileSync('bpftool', argv, { encoding: 'utf8', env: { ...process.env, PATH } });
}

t.test("others' programs", async (t) => {
  const box = new Sandbox();
  const netns = new Netns();
  const object = openObject(OBJECT);
  const folder = `/sys/fs/bpf/${box.name}-foreign`;
  t.teardown(async () => {
    object.close();
    rmSync(folder, { force: true });
    await box.close();
    netns.close();
  });
  await object.load();
  const mine = box.cgroup('mine');
  const blocked = box.cgroup('blocked');
  const below = box.cgroup('blocked/below');
  const inside = box.puppet(mine, netns.name);
  const captive = box.puppet(below, netns.name);
  const { port } = await listen(box.puppet(box.cgroup('outside'), netns.name));
  const policies = [
    {
      name: 'mine',
      cgroups: [mine],
      egress: { default: 'allow', rules: [{ action: 'reject', to: '127.1.2.3' }] },
    },
    {
      name: 'below',
      cgroups: [below],
      egress: { default: 'allow', rules: [{ action: 'reject', to: '127.1.2.3' }] },
    },
  ];
  const absolute = (cgroup: string): string => join(box.place.cgroupRoot, cgroup);
  const programsOn = (cgroup: string): number[] =>
    queryCgroup(absolute(cgroup), 'egress', 'direct').programs.map(({ id }) => id);
  const status = async (): Promise<Status> =>
    (await box.json('status', box.policyFile)) as unknown as Status;

  await t.test('stay in place beside ours, and both decide', async (t) => {
    const foreign = object.program('count_egress');
    const link = attachCgroup(foreign, absolute(mine), 'egress');
    await box.apply(policyText([policies[0]!]));
    t.equal(programsOn(mine).length, 2);
    t.equal(await tryConnect(inside, IPV4, '127.1.2.3', port), 'EPERM');
    t.equal(await tryConnect(inside, IPV4, '127.1.2.4', port), 'ok');
    await box.apply(policyText([policies[1]!]));
    t.same(programsOn(mine), [foreign.info.id], 'ours alone is gone when its policy is');
    const deny = attachCgroup(object.program('deny_egress'), absolute(mine), 'egress');
    await box.apply(policyText([policies[0]!]));
    const socket = await inside.socket('AF_INET', 'SOCK_DGRAM');
    t.equal(
      await socket.try('sendto', { bytes: 'x' }, ['127.1.2.4', port]),
      'EPERM',
      'what another program denies stays denied',
    );
    deny.close();
    t.equal(await socket.try('sendto', { bytes: 'x' }, ['127.1.2.4', port]), 'ok');
    t.equal((await box.cgfw('down')).code, 0);
    t.same(programsOn(mine), [foreign.info.id], 'down leaves it');
    link.close();
  });

  await t.test(
    'that are exclusive on an ancestor are a conflict with a name; other cgroups are enforced; it heals',
    async (t) => {
      object.program('allow_connect4').pin(folder);
      bpftool('cgroup', 'attach', absolute(blocked), 'connect4', 'pinned', folder);
      try {
        box.write(policyText(policies));
        const applied = await box.cgfw('apply', box.policyFile);
        t.not(applied.code, 0, 'apply does not claim that all is well');
        const found = await status();
        t.equal(found.asDeclared, false);
        t.match(found.policies[0]!.cgroups, [{ path: mine, state: 'attached' }]);
        t.match(found.policies[1]!.cgroups, [
          { path: below, state: 'conflict', reason: /allow_connect4.*blocked.*exclusive/ },
        ]);
        t.equal(await tryConnect(inside, IPV4, '127.1.2.3', port), 'EPERM');
        t.equal(
          await tryConnect(captive, IPV4, '127.1.2.3', port),
          'ok',
          'as status says: not enforced',
        );
      } finally {
        bpftool('cgroup', 'detach', absolute(blocked), 'connect4', 'pinned', folder);
      }
      await box.apply(policyText(policies));
      t.match((await status()).policies[1]!.cgroups, [{ path: below, state: 'attached' }]);
      t.equal(await tryConnect(captive, IPV4, '127.1.2.3', port), 'EPERM');
    },
  );
});
