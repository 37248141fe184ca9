// A policy that would drop an operator's SSH connection is refused.

import t from 'tap';
import type { PuppetSocket } from './puppet.js';
import { Sandbox } from './sandbox.js';
import { edge, HERE, statusOf, THERE, Wire } from './wire.js';

interface Session {
  readonly port: number;
  readonly client: PuppetSocket;
  readonly clientPort: number;
}

async function connect(
  box: Sandbox,
  wire: Wire,
  name: string,
  family: 'v4' | 'v6',
): Promise<Session> {
  const server = wire.local(box);
  const kind = family === 'v4' ? 'AF_INET' : 'AF_INET6';
  const listener = await server.socket(kind);
  await listener.do('bind', [HERE[family], 0]);
  await listener.do('listen');
  const port = await listener.port();
  const client = await wire.puppet(box).socket(kind);
  await client.do('connect', [HERE[family], port]);
  await listener.accept();
  await server.rename(name);
  return { port, client, clientPort: await client.port() };
}

const text = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;

for (const family of ['v4', 'v6'] as const) {
  t.test(
    `a connection that an SSH server holds is not dropped by accident (${family})`,
    async (t) => {
      const box = new Sandbox();
      const wire = new Wire();
      t.teardown(async () => {
        await box.close();
        wire.close();
      });
      const { port, clientPort } = await connect(box, wire, 'sshd-session', family);
      await box.apply(edge('{default: allow}'));
      box.write(edge('{default: drop}'));
      const ends = `${text(THERE[family], clientPort)} -> ${text(HERE[family], port)}`;
      const said = `this policy would drop an established SSH connection: ${ends} on wire by edge ingress#default (line 6)`;

      const diff = await box.cgfw('diff', box.policyFile);
      t.equal(diff.code, 1);
      t.match(diff.stderr, `warning[lockout]: ${said}`);
      const apply = await box.cgfw('apply', box.policyFile);
      t.equal(apply.code, 2);
      t.match(apply.stderr, `cgfw: ${said}\n  fix: allow it above: {action: allow, from: `);
      t.match(
        (await statusOf(box)).interfacePolicies,
        [{ rules: [{ name: 'default', action: 'allow' }] }],
        'the old one stays',
      );

      const from = family === 'v4' ? THERE.v4 : `"${THERE.v6}"`;
      await box.apply(
        edge(
          `{default: drop, rules: [{action: allow, from: ${from}, ports: [${String(port)}/tcp]}]}`,
        ),
      );
      box.write(edge('{default: drop}'));
      t.equal((await box.cgfw('apply', box.policyFile)).code, 2);
      t.equal((await box.cgfw('apply', box.policyFile, '--force')).code, 0, 'unless it is meant');
      await box.apply(edge('{default: drop, rules: [{action: drop, from: 198.51.100.1}]}'));
      t.pass('what is dropped already is no news');
    },
  );
}

t.test('a connection that no SSH server holds may be dropped', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const { port, clientPort } = await connect(box, wire, 'nginx', 'v4');
  await box.apply(edge('{default: drop}'));
  await box.cgfw('down');
  box.env['SSH_CONNECTION'] = `${THERE.v4} ${String(clientPort)} ${HERE.v4} ${String(port)}`;
  const { code, stderr } = await box.cgfw('apply', box.policyFile);
  t.equal(code, 2, 'but the one over which the command is run may not');
  t.match(stderr, 'would drop an established SSH connection');
  box.env['SSH_CONNECTION'] = `${THERE.v4} 1 ${HERE.v4} ${String(port)}`;
  t.equal(
    (await box.cgfw('apply', box.policyFile)).code,
    0,
    'and one that is over counts for nothing',
  );
});

t.test('an interface that does not carry the connection is of no concern', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  await connect(box, wire, 'sshd', 'v4');
  wire.inside.ip('link', 'add', 'side0', 'type', 'veth', 'peer', 'name', 'side1');
  await box.apply(edge('{default: drop}', { interfaces: '["side*", lo]' }));
  box.write(edge('{default: drop}', { interfaces: '["*"]' }));
  t.equal((await box.cgfw('apply', box.policyFile)).code, 2);
});

t.test('a bridge port carries what the bridge receives', async (t) => {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  const { inside } = wire;
  inside.ip('link', 'add', 'bridge0', 'type', 'bridge');
  inside.ip('link', 'set', 'wire', 'master', 'bridge0');
  inside.ip('addr', 'del', `${HERE.v4}/24`, 'dev', 'wire');
  inside.addresses([`${HERE.v4}/24`], 'bridge0');
  inside.ip('link', 'set', 'bridge0', 'up');
  await connect(box, wire, 'sshd', 'v4');
  box.write(edge('{default: drop}'));
  const { code, stderr } = await box.cgfw('apply', box.policyFile);
  t.equal(code, 2);
  t.match(stderr, 'on wire by edge');
});
