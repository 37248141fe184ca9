// Cgroups appear, vanish, come back and linger; the agent follows.

import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cgroupId } from '../../src/kernel/cgroups.js';
import { listLinks } from '../../src/kernel/native.js';
import { findPlace } from '../../src/kernel/place.js';
import { readState } from '../../src/kernel/read.js';
import type { Attachment } from '../../src/compile/state.js';
import { listCgroups } from '../../src/kernel/cgroups.js';
import { Sandbox, until } from '../kernel/sandbox.js';
import { policyText, probe, reject } from './policies.js';
import { AgentProcess } from './process.js';

const BLOCKED = '127.1.2.3';

function attachments(box: Sandbox): readonly Attachment[] {
  return readState(box.place, listCgroups(box.place.cgroupRoot), 'names-only').attachments;
}

const pins = (box: Sandbox): string[] =>
  listLinks(join(box.place.pinRoot, 'links'))
    .map(({ name }) => name)
    .sort();

async function attached(box: Sandbox, cgroup: string): Promise<Attachment> {
  const find = (): Attachment | undefined =>
    attachments(box).find(({ path, policy }) => path === cgroup && policy !== 0);
  await until(`${cgroup} is attached`, () => find() !== undefined);
  return find() as Attachment;
}

/** Only cgroups below this one tell the agent anything: those of others would make it look. */
function quietRoot(): string {
  const root = join(findPlace({}, process.env).cgroupRoot, `cgfw-quiet-${String(process.pid)}`);
  mkdirSync(root);
  return root;
}

t.test('cgroups appear, vanish and come back', async (t) => {
  const root = quietRoot();
  const box = new Sandbox({ CGFW_CGROUP_ROOT: root });
  const selector = `${box.name}/app-*`;
  box.write(policyText(selector, { rules: reject(BLOCKED) }));
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
    rmdirSync(root);
  });
  t.same(
    (await agent.says('agent started'))['waiting'],
    ['web'],
    'a policy without a cgroup is said to wait',
  );

  const one = box.cgroup('app-1');
  const startMs = performance.now();
  const first = await attached(box, one);
  t.comment(`a new cgroup was covered ${(performance.now() - startMs).toFixed(0)} ms after mkdir`);
  const puppet = box.puppet(one);
  t.equal(await probe(puppet, BLOCKED), 'EPERM');
  await puppet.close();

  await box.removeCgroup(one);
  await until('its pins are swept', () => pins(box).length === 0);

  box.cgroup('app-1');
  const again = await attached(box, one);
  t.not(again.id, first.id, 'the same path is another cgroup');
  const second = box.puppet(one);
  t.equal(await probe(second, BLOCKED), 'EPERM');

  // Gone and back before anybody could look.
  await second.close();
  await until('it can be removed', () => {
    try {
      rmdirSync(join(box.place.cgroupRoot, one));
      return true;
    } catch {
      return false;
    }
  });
  mkdirSync(join(box.place.cgroupRoot, one));
  const third = await attached(box, one);
  t.not(third.id, again.id);
  await until('only the living one has pins', () =>
    pins(box).every((name) => name.startsWith(`${String(third.id)}-`)),
  );
  // What the kernel lets go of while the agent works, nothing tells it of again.
  for (let round = 0; round < 10; round++) {
    rmdirSync(join(box.place.cgroupRoot, one));
    mkdirSync(join(box.place.cgroupRoot, one));
    const { id } = await attached(box, one);
    await until('the one before has no pins any more', () =>
      pins(box).every((name) => name.startsWith(`${String(id)}-`)),
    );
  }

  box.cgroup('other');
  box.cgroup('app-2');
  await attached(box, `${box.name}/app-2`);
  t.notOk(
    attachments(box).some(({ path }) => path.endsWith('/other')),
    'what no selector names is left alone',
  );
  t.same(agent.loud(40), []);
});

t.test('a storm of cgroups ends with all of them covered and nothing left over', async (t) => {
  const box = new Sandbox();
  box.write(policyText(`${box.name}/**`, { rules: reject(BLOCKED) }));
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 15; i++) box.cgroup(`a/b${String(i)}/c`);
    for (let i = 0; i < 10; i++) {
      await box.removeCgroup(`${box.name}/a/b${String(i)}/c`);
      await box.removeCgroup(`${box.name}/a/b${String(i)}`);
    }
  }
  await until('only the top is attached (** is any number of components, none too)', () => {
    const found = attachments(box);
    return found.length === 1 && found[0]?.path === box.name;
  });
  const puppet = box.puppet(`${box.name}/a/b14/c`);
  t.equal(await probe(puppet, BLOCKED), 'EPERM', 'nested: judged by the ancestor');
  const status = await box.json('status', box.policyFile);
  t.equal(status['asDeclared'], true);
  t.same(agent.loud(), []);
});

t.test('nested cgroups of two policies: both must allow', async (t) => {
  const box = new Sandbox();
  const outer = box.cgroup('outer');
  const inner = box.cgroup('outer/inner');
  box.write(`version: 1
policies:
  - {name: outer, cgroups: [${outer}], egress: {default: allow, rules: [{action: reject, to: 127.1.1.1}]}}
  - {name: inner, cgroups: [${inner}], egress: {default: allow, rules: [{action: reject, to: 127.1.1.2}]}}
`);
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  const puppet = box.puppet(inner);
  t.equal(await probe(puppet, '127.1.1.1'), 'EPERM', 'the ancestor refuses');
  t.equal(await probe(puppet, '127.1.1.2'), 'EPERM', 'its own refuses');
  t.equal(await probe(puppet, '127.1.1.3'), 'ok');
  await puppet.close();
  await box.removeCgroup(inner);
  await until('the inner one is swept', () => attachments(box).length === 1);
  box.cgroup('outer/inner');
  await until('and attached again', () => attachments(box).length === 2);
});

t.test(
  'a removed cgroup with a living socket keeps its policy until the socket closes',
  async (t) => {
    const box = new Sandbox();
    const cgroup = box.cgroup('web');
    box.write(policyText(cgroup, { rules: reject(BLOCKED) }));
    const agent = await AgentProcess.start(box, '--resync', '1');
    t.teardown(async () => {
      await agent.end('SIGKILL');
      await box.close();
    });
    const puppet = box.puppet(cgroup);
    const socket = await puppet.socket('AF_INET', 'SOCK_DGRAM');
    const id = cgroupId(join(box.place.cgroupRoot, cgroup));
    t.ok(id !== null);
    box.cgroup('elsewhere');
    // The process moves out; its socket stays a socket of the old cgroup.
    const { writeFileSync } = await import('node:fs');
    writeFileSync(
      join(box.place.cgroupRoot, box.name, 'elsewhere/cgroup.procs'),
      String(puppet.pid),
    );
    await box.removeCgroup(cgroup);
    t.equal(await socket.try('sendto', { bytes: 'x' }, [BLOCKED, 9]), 'EPERM', 'still judged');
    const before = agent.lines.length;
    agent.signal('SIGHUP');
    box.write(policyText(cgroup, { rules: reject('127.1.2.9') }));
    await agent.says('policy in force as generation', before);
    t.equal(
      await socket.try('sendto', { bytes: 'x' }, ['127.1.2.9', 9]),
      'EPERM',
      'a new policy reaches it',
    );
    t.equal(await socket.try('sendto', { bytes: 'x' }, [BLOCKED, 9]), 'ok');
    t.ok(
      pins(box).some((name) => name.startsWith(`${String(id)}-`)),
      'its pins are kept',
    );
    await socket.do('close');
    await until('its pins are swept', () => pins(box).length === 0);
  },
);
