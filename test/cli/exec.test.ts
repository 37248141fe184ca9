// A command that begins inside a cgroup is covered from its first packet on.

import t from 'tap';
import { policyText, reject } from '../agent/policies.js';
import { runProcess } from '../agent/process.js';
import { Sandbox } from '../kernel/sandbox.js';

const BLOCKED = '127.1.2.3';

t.test('exec', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  await box.apply(policyText(`${box.name}/job-*`, { rules: reject(BLOCKED) }));
  const exec = (cgroup: string, ...argv: readonly string[]) =>
    runProcess(box, ['exec', '--cgroup', `${box.name}/${cgroup}`, '--', ...argv]);
  const send = `import socket,sys
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 9)); print('ok')
except PermissionError: print('EPERM')`;
  for (let i = 0; i < 3; i++) {
    t.same(
      await exec(`job-${String(i)}`, 'python3', '-c', send, BLOCKED),
      { code: 0, stdout: 'EPERM\n', stderr: '' },
      'covered before the first packet',
    );
  }
  t.equal((await exec('job-0', 'python3', '-c', send, '127.1.2.4')).stdout, 'ok\n');
  t.equal((await exec('job-0', 'sh', '-c', 'exit 7')).code, 7, 'its exit code');
  t.match((await exec('job-0', 'sh', '-c', 'kill -TERM $$')).stderr, /SIGTERM/, 'its signal');
  t.equal(
    (await exec('job-0', 'echo', '-n', '--json', '--', '-x')).stdout,
    '--json -- -x',
    'its arguments are its own',
  );
  t.match((await exec('job-0', 'cat', '/proc/self/cgroup')).stdout, `/${box.name}/job-0\n`);
  const without = await exec('else', 'true');
  t.equal(without.code, 0);
  t.equal(
    without.stderr,
    `cgfw: no policy selects ${box.name}/else; only those of its ancestors apply\n`,
  );
  t.equal((await exec('job-0', '/nowhere/nothing')).code, 2);
  const bare = await runProcess(box, ['exec', '--cgroup', `${box.name}/job-1`, 'echo', '--help']);
  t.equal(bare.code, 0, 'the first word that is no option begins the command');
  await box.cgfw('down');
  t.match((await exec('job-0', 'true')).stderr, 'no policy is loaded; the command runs unfiltered');
});
