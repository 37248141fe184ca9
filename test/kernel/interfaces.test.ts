// Interfaces come, go, change their names and are held by others.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { attachXdp, listInterfaces, openObject } from '../../src/kernel/native.js';
import type { NetInterface } from '../../src/kernel/native.js';
import { entriesOf } from '../../src/kernel/pins.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { ETHER, frame } from './frames.js';
import { asText, ipv4, udp } from './packets.js';
import { Sandbox } from './sandbox.js';
import { countsOf, edge, HERE, statusOf, THERE, Wire } from './wire.js';

const FOREIGN = join(PACKAGE_ROOT, 'build/test-bpf/xdp_pass.bpf.o');
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
const DENY = '{default: allow, rules: [{action: drop, from: 10.9.0.2, ports: [9/udp]}]}';
const ends = { source: THERE.v4, destination: HERE.v4 };
const DENIED = asText(
  frame(ETHER.ipv4, ipv4({ ...ends, protocol: 17, payload: udp(ends, { from: 1, to: 9 }) })),
);

function deviceOf(name: string): NetInterface | undefined {
  return listInterfaces().find((device) => device.name === name);
}

function setUp(t: Test): { box: Sandbox; wire: Wire } {
  const box = new Sandbox();
  const wire = new Wire();
  t.teardown(async () => {
    await box.close();
    wire.close();
  });
  return { box, wire };
}

const linksOf = (box: Sandbox): string[] => entriesOf(join(box.place.pinRoot, 'links')).sort();

t.test('auto takes native mode where the driver has it, else generic, and says why', async (t) => {
  const { box } = setUp(t);
  await box.apply(edge('{default: allow}', { interfaces: '[wire, lo]' }));
  t.match((await statusOf(box)).interfaces, [
    {
      name: 'lo',
      mode: 'generic',
      state: 'attached',
      reason: 'not native: its driver has no native XDP',
    },
    { name: 'wire', mode: 'native', state: 'attached' },
  ]);
  const { code, stdout } = await box.cgfw('status', box.policyFile);
  t.equal(code, 0);
  t.match(
    stdout,
    'interface policy edge (attach: auto)\n  attached  lo (generic): not native: its driver has no native XDP',
  );
  t.match(stdout, /\n {2}attached {2}wire \(native\)\n/);
});

t.test('native where the driver has it not is an error that says what to change', async (t) => {
  const { box } = setUp(t);
  box.write(edge('{default: allow}', { interfaces: '[wire, lo]', attach: 'native' }));
  const { code, stderr } = await box.cgfw('apply', box.policyFile);
  t.equal(code, 2);
  t.match(
    stderr,
    'interface lo takes no program in native mode: its driver has no native XDP\n  fix: write attach: auto or attach: generic',
  );
  t.match((await statusOf(box)).interfaces, [
    { name: 'lo', mode: null, state: 'detached' },
    { name: 'wire', mode: 'native', state: 'attached' },
  ]);
});

t.test('another mode replaces the program, and comes back as it was when that fails', async (t) => {
  const { box, wire } = setUp(t);
  const sender = await wire.sender(box);
  for (const attach of ['native', 'generic', 'auto', 'native']) {
    await box.apply(edge(DENY, { attach }));
    const expected = attach === 'auto' ? 'generic' : attach;
    t.match(
      (await statusOf(box)).interfaces,
      [{ mode: expected }],
      `${attach}: auto keeps what there is`,
    );
    await sender.do('send', DENIED);
  }
  t.equal((await countsOf(box))['0'], 4, 'one rule all the time, counted on');
  await box.apply(edge(DENY, { interfaces: '[lo]', attach: 'generic' }));
  box.write(edge(DENY, { interfaces: '[lo]', attach: 'native' }));
  t.equal((await box.cgfw('apply', box.policyFile)).code, 2);
  t.match(
    (await statusOf(box)).interfaces,
    [{ name: 'lo', mode: 'generic', state: 'attached' }],
    'not left open',
  );
});

t.test('frames of 9,000 bytes are decided natively', async (t) => {
  const { box, wire } = setUp(t);
  for (const netns of [wire.inside, wire.outside]) netns.ip('link', 'set', 'wire', 'mtu', '9000');
  const sender = await wire.sender(box);
  await box.apply(edge(DENY, { attach: 'native' }));
  t.match((await statusOf(box)).interfaces, [{ mode: 'native', state: 'attached' }]);
  const payload = udp(ends, { from: 1, to: 9 }, Array<number>(8900).fill(7));
  await sender.do('send', asText(frame(ETHER.ipv4, ipv4({ ...ends, protocol: 17, payload }))));
  const [policy] = (await statusOf(box)).interfacePolicies;
  t.match(policy?.rules[0], { packets: 1, bytes: 20 + payload.length });
});

t.test('a program of somebody else is named and left alone', async (t) => {
  const { box } = setUp(t);
  const object = openObject(FOREIGN);
  await object.load();
  t.teardown(() => object.close());
  const { ifindex = 0 } = deviceOf('wire') ?? {};
  const bpftool = (...argv: readonly string[]): string =>
    execFileSync('bpftool', argv, { encoding: 'utf8', env: { ...process.env, PATH } });
  const holders = [
    ['xdp_pass', 'native', 'a link'],
    ['xdp_pass', 'generic', 'a link'],
    ['xdp_pass', 'native', 'netlink'],
    ['xdp_dispatcher', 'generic', 'netlink'],
  ] as const;
  for (const [name, mode, how] of holders) {
    const program = object.program(name);
    const { id, tag } = program.info;
    const device = mode === 'native' ? 'xdpdrv' : 'xdpgeneric';
    const link = how === 'a link' ? attachXdp(program, ifindex, mode) : null;
    if (link === null) bpftool('net', 'attach', device, 'id', String(id), 'dev', 'wire');
    const whose = name === 'xdp_dispatcher' ? ' of libxdp' : '';
    const holder = `program ${String(id)} (${name}${whose}, tag ${tag}, ${mode})`;

    box.write(edge(DENY));
    const diff = await box.cgfw('diff', box.policyFile);
    t.equal(diff.code, 1);
    t.match(
      diff.stdout,
      `policy edge: auto; in the way: ${holder}`,
      `${how} to ${name} in ${mode} mode: diff`,
    );
    const apply = await box.cgfw('apply', box.policyFile);
    t.equal(apply.code, 2);
    t.match(
      apply.stderr,
      `interface wire is held by ${holder}\n  fix: it is not ours to remove`,
      'apply',
    );
    const status = await statusOf(box);
    t.equal(status.asDeclared, false);
    t.match(
      status.interfaces,
      [{ name: 'wire', mode: null, state: 'conflict', reason: `held by ${holder}` }],
      'status',
    );
    t.equal(deviceOf('wire')?.[mode], id, 'never replaced');
    await box.cgfw('down');
    t.equal(deviceOf('wire')?.[mode], id, 'nor taken down');

    if (link === null) bpftool('net', 'detach', device, 'dev', 'wire');
    link?.detach();
    link?.close();
    await box.apply(edge(DENY));
    t.match(
      (await statusOf(box)).interfaces,
      [{ mode: 'native', state: 'attached' }],
      'and when it is gone we are there',
    );
    await box.cgfw('down');
  }
});

t.test('an interface that is renamed keeps its program only if it is still selected', async (t) => {
  const { box, wire } = setUp(t);
  const text = edge(DENY, { interfaces: '["wire*"]' });
  await box.apply(text);
  const links = linksOf(box);
  wire.inside.ip('link', 'set', 'wire', 'name', 'wire9');
  t.match(
    (await statusOf(box)).interfaces,
    [{ name: 'wire9', state: 'attached' }],
    'the same link under another name',
  );
  t.equal((await box.cgfw('diff', box.policyFile)).code, 0, 'in step');
  t.same(linksOf(box), links);
  wire.inside.ip('link', 'set', 'wire9', 'name', 'other');
  const diff = await box.cgfw('diff', box.policyFile);
  t.match(diff.stdout, /- detach +interface other +xdp/);
  t.equal((await box.cgfw('apply', box.policyFile)).code, 0);
  t.equal(deviceOf('other')?.native, 0);
  t.match((await statusOf(box)).interfaces, [{ name: 'wire*', ifindex: null, state: 'waiting' }]);
});

t.test(
  'an interface that is deleted and made anew is attached anew, and its old pin is swept',
  async (t) => {
    const { box, wire } = setUp(t);
    await box.apply(edge(DENY));
    const [old = ''] = linksOf(box);
    wire.inside.ip('link', 'del', 'wire');
    t.match((await statusOf(box)).interfaces, [{ name: 'wire', ifindex: null, state: 'waiting' }]);
    wire.connect();
    const diff = await box.json('diff', box.policyFile);
    t.match(diff['actions'], [
      { op: 'attach', target: 'interface wire', policy: 'edge' },
      { op: 'assign', target: 'interface wire', slot: 'active' },
      { op: 'sweep', target: `links/${old}` },
    ]);
    await box.apply(edge(DENY));
    t.same(linksOf(box), [`if-${String(deviceOf('wire')?.ifindex)}`]);
    const sender = await wire.sender(box);
    await sender.do('send', DENIED);
    t.equal((await countsOf(box))['0'], 1);
  },
);

t.test('an interface that has left the namespace is no longer ours', async (t) => {
  const { box, wire } = setUp(t);
  await box.apply(edge(DENY));
  wire.inside.ip('link', 'set', 'wire', 'netns', wire.outside.name, 'name', 'moved');
  t.match((await statusOf(box)).interfaces, [{ name: 'wire', ifindex: null, state: 'waiting' }]);
  t.match((await box.cgfw('diff', box.policyFile)).stdout, /- sweep +links\/if-/);
  t.equal((await box.cgfw('apply', box.policyFile)).code, 0);
  t.same(linksOf(box), []);
  t.notMatch(wire.outside.ip('link', 'show', 'moved'), 'xdp');
});

t.test('whoever looks from another namespace takes nothing away', async (t) => {
  const { box, wire } = setUp(t);
  await box.apply(edge(DENY));
  const links = linksOf(box);
  wire.enter('outside');
  for (const verb of ['status', 'diff', 'apply']) {
    const { code, stderr } = await box.cgfw(verb, box.policyFile);
    t.equal(code, 2, verb);
    t.match(
      stderr,
      'the interfaces of the loaded policy are those of another network namespace',
      verb,
    );
  }
  t.same(linksOf(box), links);
  wire.enter('inside');
  t.match((await statusOf(box)).interfaces, [{ name: 'wire', state: 'attached' }]);
});

t.test('down takes our programs off, and a new start finds nothing', async (t) => {
  const { box } = setUp(t);
  await box.apply(edge(DENY, { interfaces: '[wire, lo]' }));
  t.equal((await box.cgfw('down')).code, 0);
  t.match([deviceOf('wire')?.native, deviceOf('lo')?.generic], [0, 0]);
  await box.apply(edge(DENY));
  t.match((await statusOf(box)).interfaces, [{ name: 'wire', state: 'attached' }]);
});

t.test('explain asks the loaded classifier, or a file', async (t) => {
  const { box } = setUp(t);
  await box.apply(edge(DENY));
  for (const [remote, verdict, rule] of [
    ['10.9.0.2:9', 'drop', '0'],
    ['10.9.0.3:9', 'allow', 'default'],
  ] as const) {
    const asked = ['explain', '--interface', 'wire', 'ingress', 'udp', remote];
    for (const from of [[], ['--policy', box.policyFile]]) {
      const { code, stdout } = await box.cgfw(...asked, ...from, '--json');
      t.equal(code, verdict === 'drop' ? 1 : 0);
      t.match(JSON.parse(stdout), {
        verdict,
        policy: 'edge',
        rule,
        line: 6,
        chain: [{ interface: 'wire', policy: 'edge', rule }],
        source: from.length === 0 ? 'kernel' : 'file',
      });
    }
  }
  t.match(await box.cgfw('explain', '--interface', 'lo', 'ingress', 'udp', '10.9.0.2:9'), {
    code: 0,
    stdout: /no policy is about interface lo/,
  });
  t.match(await box.cgfw('explain', '--interface', 'wire', 'egress', 'udp', '10.9.0.2:9'), {
    code: 2,
    stderr: /say nothing about egress/,
  });
  t.match(await box.cgfw('explain', '--interface', 'none0', 'ingress', 'udp', '10.9.0.2:9'), {
    code: 0,
    stderr: /there is no interface none0 now/,
  });
});

t.test('the first policy that names an interface owns it', async (t) => {
  const { box, wire } = setUp(t);
  const sender = await wire.sender(box);
  const policies = (first: string, second: string): string => `version: 1
interfaces:
  - {name: ${first}, interfaces: ["w*"], ingress: {default: allow, rules: [{action: drop, from: 10.9.0.2}]}}
  - {name: ${second}, interfaces: [wire], ingress: {default: allow}}
`;
  await box.apply(policies('edge', 'inner'));
  await sender.do('send', DENIED);
  t.equal((await countsOf(box, 'edge'))['0'], 1);
  await box.apply(policies('inner', 'edge'));
  await sender.do('send', DENIED);
  t.equal((await countsOf(box, 'inner'))['0'], 1);
  t.equal(
    (await countsOf(box, 'edge'))['0'],
    undefined,
    'a policy in another order is told by its name',
  );
});
