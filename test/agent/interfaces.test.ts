// An agent follows the interfaces of its network namespace.

import t from 'tap';
import type { Test } from 'tap';
import { attachXdp, listInterfaces, openObject } from '../../src/kernel/native.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { Sandbox, until } from '../kernel/sandbox.js';
import { edge, HERE, statusOf, THERE, Wire } from '../kernel/wire.js';
import { AgentProcess } from './process.js';

/** Long enough that nothing here is owed to the resync. */
const RARELY = ['--resync', '3600'];

async function setUp(
  t: Test,
  policy: string,
): Promise<{ box: Sandbox; wire: Wire; agent: AgentProcess }> {
  const box = new Sandbox();
  const wire = new Wire();
  box.write(policy);
  const agent = await AgentProcess.start(box, ...RARELY);
  t.teardown(async () => {
    await agent.end();
    await box.close();
    wire.close();
  });
  return { box, wire, agent };
}

const hasProgram = (name: string): boolean =>
  (listInterfaces().find((device) => device.name === name)?.native ?? 0) > 0;

t.test(
  'an interface that appears is attached at once; one that goes leaves nothing behind',
  async (t) => {
    const { box, wire, agent } = await setUp(
      t,
      edge('{default: drop}', { interfaces: '["late*"]' }),
    );
    const make = (name: string): void =>
      void wire.inside.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `peer${name}`);
    for (const name of ['late0', 'late1']) {
      make(name);
      const begin = performance.now();
      await until(`${name} has a program`, () => hasProgram(name));
      t.comment(`${name}: ${(performance.now() - begin).toFixed(0)} ms`);
    }
    await until('both are told', async () =>
      (await statusOf(box)).interfaces.every(({ state }) => state === 'attached'),
    );
    wire.inside.ip('link', 'set', 'late1', 'name', 'other');
    await until('a new name is followed', () => !hasProgram('other'));
    wire.inside.ip('link', 'del', 'late0');
    make('late0');
    await until('one that returns is attached again', () => hasProgram('late0'));
    await until('in step', async () => (await box.cgfw('diff', box.policyFile)).code === 0);
    t.same(agent.loud(), [], agent.story());
  },
);

t.test(
  'an interface that another program holds is told once, and taken when it is free',
  async (t) => {
    const { box, wire, agent } = await setUp(
      t,
      edge('{default: allow}', { interfaces: '[late0]' }),
    );
    const object = openObject(`${PACKAGE_ROOT}/build/test-bpf/xdp_pass.bpf.o`);
    await object.load();
    t.teardown(() => object.close());
    wire.inside.ip('link', 'add', 'held0', 'type', 'veth', 'peer', 'name', 'held1');
    const { ifindex = 0 } = listInterfaces().find(({ name }) => name === 'held0') ?? {};
    const link = attachXdp(object.program('xdp_pass'), ifindex, 'native');
    wire.inside.ip('link', 'set', 'held0', 'name', 'late0');
    const { op, target, code, msg } = await agent.says('interface late0 is held by program');
    t.match(
      { op, target, code },
      { op: 'attach', target: 'interface late0', code: 'foreign-program' },
    );
    t.match(msg, 'xdp_pass');
    link.detach();
    link.close();
    await agent.says('no longer failing: attach interface late0');
    t.equal(agent.count('is held by'), 1);
    t.match((await statusOf(box)).interfaces, [
      { name: 'late0', mode: 'native', state: 'attached' },
    ]);
  },
);

t.test('a policy that would lock an operator out is held back until nobody is', async (t) => {
  const { box, wire, agent } = await setUp(
    t,
    edge('{default: allow}', { interfaces: '["wire", "late*"]' }),
  );
  const server = wire.local(box);
  const listener = await server.socket();
  await listener.do('bind', [HERE.v4, 0]);
  await listener.do('listen');
  const client = await wire.puppet(box).socket();
  await client.do('connect', [HERE.v4, await listener.port()]);
  await listener.accept();
  await server.rename('sshd');
  box.write(edge('{default: drop}', { interfaces: '["wire", "late*"]' }));
  const held = await agent.says(
    'the policy file is held back, the last good policy stays in force',
  );
  t.match(held, { code: 'lockout', level: 50 });
  t.match(held.msg, `${THERE.v4}:`);
  t.match((await statusOf(box)).interfacePolicies, [
    { rules: [{ name: 'default', action: 'allow' }] },
  ]);
  wire.inside.ip('link', 'add', 'late0', 'type', 'veth', 'peer', 'name', 'late1');
  await until('the last good policy follows interfaces all the while', () => hasProgram('late0'));
  await server.close();
  await agent.says('the policy file locks nobody out any more');
  t.equal(agent.count('held back'), 1, 'told once');
  t.match((await statusOf(box)).interfacePolicies, [
    { rules: [{ name: 'default', action: 'drop' }] },
  ]);
});
