// Somebody meddles with what is loaded: seen at the next look, said, repaired.

import { existsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import t from 'tap';
import { BASE_HOOKS } from '../../src/compile/state.js';
import { cgroupId, listCgroups } from '../../src/kernel/cgroups.js';
import { openPinnedLink, openPinnedMap } from '../../src/kernel/native.js';
import { listSets } from '../../src/kernel/pins.js';
import { writeOwner } from '../../src/kernel/owners.js';
import { readState } from '../../src/kernel/read.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { Sandbox, until } from '../kernel/sandbox.js';
import { policyText, probe, reject } from './policies.js';
import { AgentProcess } from './process.js';

const BLOCKED = '127.1.2.3';

async function bpftool(...argv: readonly string[]): Promise<number | null> {
  const child = spawn('bpftool', argv, {
    stdio: 'ignore',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

t.test('drift', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  const puppet = box.puppet(cgroup);
  box.write(policyText(cgroup, { rules: reject(BLOCKED) }));
  const agent = await AgentProcess.start(box, '--resync', '1');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  const id = cgroupId(join(box.place.cgroupRoot, cgroup)) ?? 0;
  const link = (hook: string): string => join(box.place.pinRoot, 'links', `${String(id)}-${hook}`);
  const folder = (): string =>
    join(box.place.pinRoot, listSets(box.place.pinRoot).at(-1)?.folder ?? '');
  const isRepaired = async (what: string, meddle: () => unknown): Promise<void> => {
    const from = agent.lines.length;
    await meddle();
    // The resync of each second finds it too; asking is faster.
    if (what !== 'a link was detached') agent.signal('SIGHUP');
    const said = await agent.says('repaired', from);
    t.equal(said.level, 40, `${what}: said as a warning`);
    t.equal(await probe(puppet, BLOCKED), 'EPERM', `${what}: enforced again`);
    const state = readState(box.place, listCgroups(box.place.cgroupRoot));
    t.match(
      state.attachments,
      [{ path: cgroup, hooks: BASE_HOOKS, outdated: [], policy: 1 }],
      what,
    );
    t.same(state.leftovers, [], `${what}: nothing is left over`);
    t.equal((await box.cgfw('diff', box.policyFile)).code, 0, `${what}: in step`);
  };
  const table =
    (name: string, meddle: (set: NonNullable<ReturnType<typeof openCurrentSet>>) => void) =>
    (): void => {
      const set = openCurrentSet(box.place.pinRoot);
      if (set === null) throw new Error(`no set for ${name}`);
      meddle(set);
      set.close();
    };

  await isRepaired('a link was detached', async () => {
    t.equal(await bpftool('link', 'detach', 'pinned', link('egress')), 0);
  });
  await isRepaired('all links were detached', () => {
    for (const hook of BASE_HOOKS) openPinnedLink(link(hook)).detach();
  });
  await isRepaired('the pin of a link was removed', () => unlinkSync(link('egress')));
  await isRepaired(
    'the owner was changed',
    table('owners', (set) => writeOwner(set.maps.owners, id, set.generation & 1, 0)),
  );
  for (const name of ['roots', 'cells', 'rules', 'services', 'policies'] as const) {
    await isRepaired(
      `table ${name} was scribbled on`,
      table(name, (set) => {
        const size = set.maps[name].info.valueSize * set.capacity[name];
        const slot = set.generation & 1;
        set.maps[name].write(slot * size, new Uint8Array(64).fill(0xff));
      }),
    );
  }
  await isRepaired(
    'the text was scribbled on',
    table('text', (set) => {
      const slot = set.generation & 1;
      set.maps.text.write(slot * set.capacity.text * 4096 + 100, new Uint8Array(8).fill(0xee));
    }),
  );
  await isRepaired(
    'the switch was thrown',
    table('control', (set) => {
      set.maps.control.storeWord(0, 0n);
    }),
  );
  await isRepaired('the pin of a program was removed', () => unlinkSync(join(folder(), 'egress')));
  await isRepaired('the pin of the explain program was removed', () =>
    unlinkSync(join(folder(), 'explain')),
  );
  await isRepaired('the pin of a table was removed', () => unlinkSync(join(folder(), 'cells')));
  await isRepaired('the pin of a shared map was removed', () =>
    unlinkSync(join(box.place.pinRoot, 'shared/owners')),
  );
  const stray = join(box.place.pinRoot, 'links/1-egress');
  const map = openPinnedMap(join(box.place.pinRoot, 'shared/control'));
  map.pin(stray);
  map.close();
  await until('a stray pin is swept', () => !existsSync(stray));
  t.same(agent.loud(), [], 'no error on the way');
});

t.test('status and diff say what is missing', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  t.teardown(() => box.close());
  await box.apply(policyText(cgroup, { rules: reject(BLOCKED) }));
  const id = cgroupId(join(box.place.cgroupRoot, cgroup)) ?? 0;
  openPinnedLink(join(box.place.pinRoot, 'links', `${String(id)}-ingress`)).detach();
  const diff = await box.cgfw('diff', box.policyFile);
  t.equal(diff.code, 1);
  t.match(diff.stdout, /^\+ attach +\S+\/web +policy web: ingress$/m);
  const status = await box.cgfw('status', box.policyFile);
  t.equal(status.code, 1);
  t.match(status.stdout, /differs from the policy file/);

  unlinkSync(join(box.place.pinRoot, listSets(box.place.pinRoot)[0]?.folder ?? '', 'cells'));
  const damaged = await box.cgfw('status', box.policyFile);
  t.equal(damaged.code, 1);
  t.match(damaged.stdout, /pins of ours are missing or damaged/);
  t.equal((await box.cgfw('apply', box.policyFile)).code, 0);
  t.equal((await box.cgfw('status', box.policyFile)).code, 0);
});
