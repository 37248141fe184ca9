// Every verb: what it prints, for people and for programs, and how it ends.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { VERBS } from '../../src/cli/table.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import { policyText, probe, reject } from '../agent/policies.js';
import { runProcess } from '../agent/process.js';
import { Sandbox } from '../kernel/sandbox.js';

const BLOCKED = '127.1.2.3';

t.test('help', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  for (const { name } of VERBS) {
    const { code, stdout } = await box.cgfw(name, '--help');
    t.equal(code, 0, name);
    t.match(stdout, /Examples:\n {2}\S[^]*Exit codes: \S/, name);
    if (name !== 'exec') t.match(stdout, '--json', name);
  }
  const { code, stdout } = await box.cgfw('--help');
  t.equal(code, 0);
  for (const { name } of VERBS) t.match(stdout, new RegExp(`^ {2}${name} `, 'm'));
  const { version } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  t.same(await box.cgfw('--version'), { code: 0, stdout: `${version}\n`, stderr: '' });
});

t.test('what is wrong with a command line is said in one sentence, with a way out', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const cases: readonly (readonly [line: string, sentence: string, fix: string])[] = [
    ['stauts', "unknown command 'stauts'", 'did you mean status?'],
    ['status --jsno', "unknown option '--jsno'", 'did you mean --json?'],
    [
      'check a b',
      "too many arguments for 'check'. Expected 1 argument but got 2",
      'see cgfw --help, or cgfw VERB --help',
    ],
    [
      'explain egress',
      "missing required argument 'protocol'",
      'see cgfw --help, or cgfw VERB --help',
    ],
    [
      'explain egress tcp 1.2.3.4:443',
      '--cgroup is missing',
      'name a cgroup, such as --cgroup cgfw-demo, or an interface, such as --interface eth0',
    ],
    ['exec -- ls', '--cgroup is missing', 'name the cgroup, such as --cgroup cgfw-demo'],
    [
      'exec --cgroup a* -- ls',
      '--cgroup: a* is a pattern',
      'name one cgroup, such as --cgroup cgfw-demo',
    ],
    [
      'exec --cgroup x -- nosuchcommand',
      'there is no command nosuchcommand',
      'check its name, or give its whole path',
    ],
    [
      'run --resync soon',
      '--resync: soon is not a number of seconds from 1 to 86400',
      'write it as --resync 30',
    ],
    ['run --log-level loud', '--log-level: loud is not a level', 'use debug, info, warn or error'],
    [
      'apply --confirm 3',
      '--confirm: 3 is not a duration from 1s to 24h',
      'write it as --confirm 60s, --confirm 5m or --confirm 1h',
    ],
    ['confirm', 'no policy is on trial', 'begin a trial with cgfw apply --confirm 60s'],
    [
      'events --count x',
      '--count: x is not a number of events',
      'use a whole number from 1, such as --count 10',
    ],
    [
      'events --verdict dorp',
      '--verdict: dorp is not a verdict',
      'did you mean drop? use allow, drop or reject',
    ],
    [
      'events --address 1.2.3',
      '--address: 1.2.3 has 3 numbers where an IPv4 address has four',
      'use one address, such as --address 192.0.2.7',
    ],
    ['show', 'no policy is loaded', 'load one: cgfw apply'],
    ['events', 'no policy is loaded', 'load one: cgfw apply'],
    [
      'explain --cgroup a egress tcp 1.2.3.4:80',
      'no policy is loaded',
      'load one: cgfw apply; or ask a file: cgfw explain --policy FILE ...',
    ],
    [
      'status --cgroup-root /nowhere',
      'there is no directory /nowhere',
      'name the mount point of the cgroup2 hierarchy with --cgroup-root',
    ],
    [
      'diff --cgroup-root /tmp',
      '/tmp is not in a cgroup2 hierarchy',
      'name its mount point with --cgroup-root (grep cgroup2 /proc/mounts), or leave the option out',
    ],
    [
      'diff /nowhere.yaml',
      'the policy file /nowhere.yaml cannot be used: there is no such file',
      'create /nowhere.yaml, or name another file',
    ],
    [
      'apply /nowhere.yaml',
      'the policy file /nowhere.yaml cannot be used: there is no such file',
      'create /nowhere.yaml, or name another file',
    ],
  ];
  for (const [line, sentence, fix] of cases) {
    const { code, stdout, stderr } = await box.cgfw(...line.split(' '));
    t.equal(code, 2, line);
    t.equal(stderr.replaceAll("'a*'", 'a*'), `cgfw: ${sentence}\n  fix: ${fix}\n`, line);
    t.equal(stdout, '', line);
  }
  const json = await box.json('show');
  t.match(json, {
    error: {
      code: 'not-loaded',
      message: 'no policy is loaded',
      fix: 'load one: cgfw apply',
      diagnostics: [],
    },
  });
  t.match(await box.json('stauts'), { error: { code: 'usage', fix: 'did you mean status?' } });
});

t.test('without root', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const file = '/tmp/cgfw-check-' + box.name + '.yaml';
  writeFileSync(file, policyText('demo'), { mode: 0o644 });
  t.teardown(async () => {
    const { rmSync } = await import('node:fs');
    rmSync(file);
  });
  for (const line of [
    'diff',
    'apply',
    'confirm',
    'run',
    'status',
    'show',
    'events',
    'down',
    'exec --cgroup x -- ls',
    'explain --cgroup a egress tcp 1.2.3.4:80',
  ]) {
    const [verb = '', ...rest] = line.split(' ');
    const argv = ['diff', 'apply', 'run', 'status'].includes(verb) ? [verb, file] : [verb, ...rest];
    const { code, stderr, stdout } = await runProcess(box, argv, { uid: 65534 });
    t.equal(code, 2, line);
    t.equal(
      stderr,
      'cgfw: this needs root: it speaks to the kernel about BPF programs\n  fix: run it with sudo\n',
      line,
    );
    t.equal(stdout, '');
  }
  const checked = await runProcess(box, ['check', file], { uid: 65534 });
  t.same(
    checked,
    { code: 0, stdout: `${file}: valid: 1 policy\n`, stderr: '' },
    'check needs no root',
  );
  const explained = await runProcess(
    box,
    ['explain', '--policy', file, '--cgroup', 'demo', 'egress', 'tcp', '1.2.3.4:80'],
    { uid: 65534 },
  );
  t.equal(explained.code, 0, 'nor does asking a file');
});

t.test('check', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  box.write(policyText('demo', { rules: reject(BLOCKED) }));
  t.same(await box.cgfw('check', box.policyFile), {
    code: 0,
    stdout: `${box.policyFile}: valid: 1 policy\n`,
    stderr: '',
  });
  const valid = await box.json('check', box.policyFile);
  t.match(valid, {
    valid: true,
    file: box.policyFile,
    policyHash: /^[0-9a-f]{64}$/,
    diagnostics: [],
  });
  t.same(Object.keys(valid), ['valid', 'file', 'policyHash', 'diagnostics']);

  box.write(
    policyText('demo', {
      rules: '[{action: allow, to: any, ports: [70000]}, {action: rejct, to: any}]',
    }),
  );
  const { code, stdout, stderr } = await box.cgfw('check', box.policyFile);
  t.equal(code, 1);
  t.equal(stderr, '');
  t.match(
    stdout,
    `${box.policyFile}:8:48: error[port-range]: port 70000 is above 65535\n    8 |       rules: `,
  );
  t.match(stdout, 'fix: did you mean reject?', 'all mistakes in one run');
  t.match(stdout, /policy\.yaml: invalid: 2 errors\n$/);
  const invalid = await box.json('check', box.policyFile);
  t.match(invalid, { valid: false, policyHash: null });
  const [first] = invalid['diagnostics'] as object[];
  t.same(Object.keys(first ?? {}), [
    'severity',
    'code',
    'message',
    'fix',
    'file',
    'line',
    'column',
    'length',
  ]);

  for (const verb of ['diff', 'apply']) {
    const refused = await box.cgfw(verb, box.policyFile);
    t.equal(refused.code, 2, verb);
    t.match(
      refused.stderr,
      /error\[port-range\][^]*error\[wrong-value\][^]*cgfw: the policy file \S+ is not valid\n {2}fix: /,
    );
    t.match(await box.json(verb, box.policyFile), {
      error: { code: 'invalid-policy', diagnostics: [{ line: 8 }, { line: 8 }] },
    });
  }
});

t.test('diff prints the list that apply runs, and apply puts things in step', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const web = box.cgroup('web');
  box.write(policyText(web, { rules: reject(BLOCKED) }));
  const diff = await box.cgfw('diff', box.policyFile);
  t.equal(diff.code, 1);
  const document = await box.json('diff', box.policyFile);
  t.same(Object.keys(document), ['inStep', 'policyHash', 'loadedHash', 'actions', 'summary']);
  t.match(document, {
    inStep: false,
    loadedHash: null,
    actions: [
      { op: 'load' },
      { op: 'attach', target: web, policy: 'web' },
      { op: 'fill' },
      { op: 'assign' },
      { op: 'switch', from: 0, to: 1 },
    ],
    summary: {
      attach: 1,
      detach: 0,
      rules: { add: 1, remove: 0, change: 0 },
      addresses: { add: 1, remove: 0 },
    },
  });
  const apply = await box.cgfw('apply', box.policyFile);
  t.equal(apply.code, 0);
  t.equal(apply.stdout, `${diff.stdout}in force: generation 1\n`, 'the very same list');
  t.same(await box.cgfw('diff', box.policyFile), {
    code: 0,
    stdout: 'in step: the kernel enforces this policy\n',
    stderr: '',
  });
  t.same(await box.cgfw('apply', box.policyFile), {
    code: 0,
    stdout: 'in step: generation 1 enforces this policy already\n',
    stderr: '',
  });
  t.match(await box.json('diff', box.policyFile), {
    inStep: true,
    actions: [],
    summary: { attach: 0 },
  });

  box.write(policyText(web, { rules: reject(BLOCKED, '127.1.2.4'), default: 'drop' }));
  const lines = (await box.cgfw('diff', box.policyFile)).stdout.replace(/ {2,}/g, ' ').split('\n');
  t.same(lines, [
    '~ default web egress default allow by default, log none -> drop by default, log none',
    '+ address web egress#0 127.1.2.4',
    '~ rule web egress#0 reject to 127.1.2.3, log none -> reject to 127.1.2.3, 127.1.2.4, log none',
    '~ default web raw sockets allow raw sockets, log none -> reject raw sockets, log none',
    '~ switch generation 1 -> 2',
    '0 to attach, 0 to detach; rules +0 -0 ~3; addresses +1 -0',
    '',
  ]);
  const applied = await box.json('apply', box.policyFile);
  t.match(applied, {
    inStep: false,
    applied: true,
    generation: 2,
    failures: [],
    held: [],
    trial: null,
  });
});

t.test('show gives the file back, comments and all', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const text = `# my policy\n${policyText(box.cgroup('web'))}# the end`;
  await box.apply(text);
  t.same(await box.cgfw('show'), { code: 0, stdout: `${text}\n`, stderr: '' });
  t.match(await box.json('show'), {
    generation: 1,
    file: box.policyFile,
    text,
    policyHash: /^[0-9a-f]{64}$/,
  });
});

t.test('status', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const web = box.cgroup('web');
  const nothing = await box.cgfw('status', box.policyFile);
  t.equal(nothing.code, 1);
  t.match(nothing.stdout, 'not enforcing: no policy is loaded');
  await box.apply(policyText([web, `${box.name}/later`], { rules: reject(BLOCKED) }));
  const puppet = box.puppet(web);
  await probe(puppet, BLOCKED);
  const { code, stdout } = await box.cgfw('status', box.policyFile);
  t.equal(code, 0);
  t.match(stdout, /^enforcing generation 1, policy [0-9a-f]{12} from \//);
  t.match(stdout, `  attached  ${web}\n`);
  t.match(stdout, /^ {2}waiting {3}\S+\/later$/m);
  t.match(stdout, /egress#0 +reject +1 packets +29 bytes/);
  const document = await box.json('status', box.policyFile);
  const keys = [
    'generation',
    'policyHash',
    'enforcing',
    'policies',
    'interfaces',
    'maps',
    'events',
  ];
  for (const key of keys) t.ok(key in document, key);
  t.match(document, {
    generation: 1,
    enforcing: true,
    policies: [
      {
        name: 'web',
        mode: 'enforce',
        cgroups: [
          { path: `${box.name}/later`, id: null, state: 'waiting' },
          { path: web, id: Number, state: 'attached' },
        ],
        rules: [
          { direction: 'egress', index: 0, name: '0', action: 'reject', packets: 1, bytes: 29 },
        ],
      },
    ],
    interfaces: [],
    events: { emitted: Number, suppressed: 0, lost: 0 },
  });
  box.write('version: 7\n');
  const invalid = await box.cgfw('status', box.policyFile);
  t.equal(invalid.code, 1);
  t.match(invalid.stdout, /note: the policy file \S+ is not valid: see cgfw check/);
});

t.test('explain gives one answer for the kernel and for the file', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const outer = box.cgroup('outer');
  const inner = box.cgroup('outer/inner');
  await box.apply(`version: 1
policies:
  - name: inner
    cgroups: [${inner}]
    egress:
      default: reject
      rules:
        - {action: allow, to: [1.2.3.4, "fd00::1"], ports: [443/tcp, icmp/echo-request], name: site}
  - name: outer
    cgroups: [${outer}]
    egress:
      default: allow
      rules:
        - {action: drop, to: 1.2.3.4, ports: [icmp]}
`);
  const questions = [
    ['egress', 'tcp', '1.2.3.4:443'],
    ['egress', 'tcp', '1.2.3.4:80'],
    ['egress', 'tcp', '[fd00::1]:443'],
    ['egress', 'udp', '1.2.3.4:443'],
    ['egress', 'icmp/echo-request', '1.2.3.4'],
    ['egress', 'gre', '9.9.9.9'],
    ['ingress', 'tcp', '9.9.9.9:22'],
  ];
  for (const question of questions) {
    for (const cgroup of [inner, outer, `${box.name}/none`]) {
      const kernel = await box.json('explain', '--cgroup', cgroup, ...question);
      const file = await box.json(
        'explain',
        '--policy',
        box.policyFile,
        '--cgroup',
        cgroup,
        ...question,
      );
      t.same(
        { ...kernel, source: '' },
        { ...file, source: '' },
        `${question.join(' ')} in ${cgroup}`,
      );
      const { code } = await box.cgfw('explain', '--cgroup', cgroup, ...question);
      t.equal(code, kernel['verdict'] === 'allow' ? 0 : 1);
    }
  }
  t.match(await box.json('explain', '--cgroup', inner, 'egress', 'tcp', '1.2.3.4:443'), {
    verdict: 'allow',
    policy: 'inner',
    direction: 'egress',
    rule: 'site',
    line: 8,
    file: box.policyFile,
    source: 'kernel',
    chain: [
      { cgroup: inner, policy: 'inner', verdict: 'allow' },
      { cgroup: outer, policy: 'outer', verdict: 'allow' },
    ],
  });
  t.match(
    await box.json('explain', '--cgroup', inner, 'egress', 'icmp/echo-request', '1.2.3.4'),
    { verdict: 'drop', policy: 'outer', rule: '0', line: 14 },
    'the ancestor has a say',
  );
  const { stdout } = await box.cgfw('explain', '--cgroup', inner, 'egress', 'udp', '1.2.3.4:53');
  t.match(
    stdout,
    /^reject {2}egress udp 1\.2\.3\.4:53\n {2}reject {2}\S+inner: inner egress#default \(\S+policy\.yaml:6\) /,
  );
});
