// Rules of interfaces and of cgroups change in one store.

import t from 'tap';
import { prospect } from '../../src/agent/prospect.js';
import { applyActions } from '../../src/kernel/apply.js';
import { readPolicy } from '../../src/policy/load.js';
import { Sandbox } from './sandbox.js';
import { HERE, statusOf, Wire } from './wire.js';

t.test(
  'an apply that ends before the switch leaves both as they were, and the next finishes it',
  async (t) => {
    const box = new Sandbox();
    const wire = new Wire();
    t.teardown(async () => {
      await box.close();
      wire.close();
    });
    const cgroup = box.cgroup('mine');
    const puppet = box.puppet(cgroup, wire.inside.name);
    const policy = (port: number): string => `version: 1
policies:
  - name: mine
    cgroups: [${cgroup}]
    egress: {default: allow, rules: [{action: reject, to: any, ports: [${String(port)}/udp]}]}
interfaces:
  - name: edge
    interfaces: [wire]
    ingress: {default: allow, rules: [{action: drop, from: any, ports: [${String(port)}/udp]}]}
`;
    const server = await puppet.socket('AF_INET', 'SOCK_DGRAM');
    const client = await wire.puppet(box).socket('AF_INET', 'SOCK_DGRAM');
    const ports: number[] = [];
    for (const socket of [server, await puppet.socket('AF_INET', 'SOCK_DGRAM')]) {
      await socket.do('bind', [HERE.v4, 0]);
      ports.push(await socket.port());
    }
    const [first = 0, second = 0] = ports;
    const sends = async (port: number): Promise<string> =>
      server.try('sendto', { bytes: 'x' }, [HERE.v4, port]);
    const dropped = async (): Promise<number> => {
      const [rule] = (await statusOf(box)).interfacePolicies[0]?.rules ?? [];
      await client.do('sendto', { bytes: 'x' }, [HERE.v4, first]);
      const [after] = (await statusOf(box)).interfacePolicies[0]?.rules ?? [];
      return (after?.packets ?? 0) - (rule?.packets ?? 0);
    };

    await box.apply(policy(first));
    t.same([await sends(first), await sends(second), await dropped()], ['EPERM', 'ok', 1]);

    const { policy: next } = readPolicy(
      new TextEncoder().encode(policy(second)),
      '/policy.yaml',
      new Map(),
    );
    if (next === undefined) throw new Error('not a policy');
    const { plan, program, loaded } = prospect(box.place, next, { guards: [] });
    t.ok(plan.actions.some(({ op, target }) => op === 'assign' && target === 'interface wire'));
    await t.rejects(
      applyActions(box.place, {
        actions: plan.actions,
        program,
        loaded: loaded.program,
        onAction: ({ op }) => {
          if (op === 'switch') throw new Error('killed');
        },
      }),
      { message: 'killed' },
    );
    t.same(
      [await sends(first), await sends(second), await dropped()],
      ['EPERM', 'ok', 1],
      'all of the old policy',
    );

    await box.apply(policy(second));
    t.same(
      [await sends(first), await sends(second), await dropped()],
      ['ok', 'EPERM', 0],
      'all of the new one',
    );
  },
);

t.test('no frame slips through while policies change', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const server = await wire.local(box).socket('AF_INET', 'SOCK_DGRAM');
  await server.do('bind', [HERE.v4, 0]);
  const port = await server.port();
  const client = await wire.puppet(box).socket('AF_INET', 'SOCK_DGRAM');
  const policy = (rule: string): string => `version: 1
interfaces:
  - {name: edge, interfaces: [wire], log: none, ingress: {default: allow, rules: [${rule}]}}
`;
  const rules = [
    `{action: drop, from: 10.9.0.2}`,
    `{action: drop, from: any, ports: [udp]}`,
    `{action: drop, from: 10.9.0.0/24, ports: [${String(port)}]}`,
  ];
  await box.apply(policy(rules[0] ?? ''));
  const stop = new AbortController();
  const sending = (async (): Promise<number> => {
    let sent = 0;
    for (; !stop.signal.aborted; sent += 2000) await client.do('burst', 2000, 64, [HERE.v4, port]);
    return sent;
  })();
  for (let round = 0; round < 12; round++)
    await box.apply(policy(rules[round % rules.length] ?? ''));
  stop.abort();
  t.ok((await sending) > 10_000, 'there was traffic all the time');
  t.equal(await server.do('readable', 0), false, 'nothing has arrived');
});
