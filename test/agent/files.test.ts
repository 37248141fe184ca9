// Whatever happens to the policy file and its set files, the agent keeps up.

import {
  chmodSync,
  chownSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  closeSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { Puppet } from '../kernel/puppet.js';
import { Sandbox, until } from '../kernel/sandbox.js';
import { policyText, probe, reject } from './policies.js';
import { AgentProcess } from './process.js';

const ONE = '127.1.2.3';
const TWO = '127.1.2.4';

/** A sandbox with one covered cgroup and an agent that rejects ONE. No resync helps: only the watcher sees. */
async function begin(
  t: Test,
): Promise<{ box: Sandbox; cgroup: string; puppet: Puppet; agent: AgentProcess }> {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  const puppet = box.puppet(cgroup);
  box.write(policyText(cgroup, { rules: reject(ONE) }));
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  return { box, cgroup, puppet, agent };
}

async function rejects(puppet: Puppet, address: string): Promise<void> {
  await until(
    `${address} is rejected`,
    async () => (await probe(puppet, address)) === 'EPERM',
    3000,
  );
}

t.test('an edit is enforced, however the file is written', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  t.equal(await probe(puppet, ONE), 'EPERM');
  const texts = [
    policyText(cgroup, { rules: reject(TWO) }),
    policyText(cgroup, { rules: reject(ONE) }),
  ] as const;
  const timesMs: number[] = [];
  const measure = async (how: string, write: (text: string) => void): Promise<void> => {
    for (let i = 0; i < 6; i++) {
      const text = texts[i % 2] ?? '';
      const [now, before] = i % 2 === 0 ? [TWO, ONE] : [ONE, TWO];
      write(text);
      const settledMs = performance.now();
      await rejects(puppet, now);
      timesMs.push(performance.now() - settledMs);
      t.equal(await probe(puppet, before), 'ok', `${how}: the old rule is gone`);
    }
  };
  await measure('renamed over', (text) => box.write(text));
  await measure('written in place', (text) => writeFileSync(box.policyFile, text));
  await measure('truncated, then written in two pieces', (text) => {
    const file = openSync(box.policyFile, 'r+');
    truncateSync(box.policyFile, 0);
    writeSync(file, text.slice(0, 60));
    writeSync(file, text.slice(60));
    closeSync(file);
  });
  timesMs.sort((a, b) => a - b);
  const figure = (share: number): string =>
    (timesMs[Math.floor(share * (timesMs.length - 1))] ?? 0).toFixed(0);
  // How quickly is a question for bench/, not for a test on a shared machine.
  t.comment(`file settled to enforced: median ${figure(0.5)} ms, worst ${figure(1)} ms`);
  t.same(agent.loud(), [], 'nothing went wrong on the way');
});

t.test('a file in a folder that is swapped by a symlink, as in a mounted ConfigMap', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  const puppet = box.puppet(cgroup);
  const version = (name: string, text: string): void => {
    mkdirSync(join(box.folder, name));
    writeFileSync(join(box.folder, name, 'policy.yaml'), text, { mode: 0o644 });
    symlinkSync(name, join(box.folder, '..data_tmp'));
    renameSync(join(box.folder, '..data_tmp'), join(box.folder, '..data'));
  };
  version('..2026_1', policyText(cgroup, { rules: reject(ONE) }));
  symlinkSync('..data/policy.yaml', box.policyFile);
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  t.equal(await probe(puppet, ONE), 'EPERM');
  version('..2026_2', policyText(cgroup, { rules: reject(TWO) }));
  await rejects(puppet, TWO);
  version('..2026_3', policyText(cgroup, { rules: reject(ONE) }));
  await rejects(puppet, ONE);
});

t.test('a deleted file changes nothing, and its return is seen', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  for (let round = 0; round < 2; round++) {
    const from = agent.lines.length;
    unlinkSync(box.policyFile);
    await agent.says('the last good policy stays in force', from);
    const said = agent.lines.slice(from).find(({ code }) => code === 'unreadable');
    t.match(String(said?.['msg']), /there is no such file/);
    t.match(String(said?.['fix']), /create /);
    t.equal(await probe(puppet, ONE), 'EPERM', 'still enforced');
    box.write(policyText(cgroup, { rules: reject(ONE, round === 0 ? TWO : '127.9.9.9') }));
    await rejects(puppet, round === 0 ? TWO : '127.9.9.9');
    await agent.says('valid again', from);
  }
});

t.test('a bad file is an event, not an end', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  const good = (last: number): string =>
    policyText(cgroup, { rules: reject(ONE, `127.8.8.${String(last)}`) });
  const mended = async (last: number): Promise<void> => {
    box.write(good(last));
    await rejects(puppet, `127.8.8.${String(last)}`);
  };
  const isSaid = async (
    what: string,
    make: () => void,
    pattern: RegExp,
    last: number,
    unmake = (): void => undefined,
  ): Promise<void> => {
    const from = agent.lines.length;
    make();
    await agent.says('the last good policy stays in force', from);
    const errors = agent.lines
      .slice(from)
      .filter(({ level, code }) => level === 50 && code !== undefined);
    t.equal(errors.length, 1, `${what}: said once`);
    t.match(errors[0]?.msg, pattern, what);
    t.equal(await probe(puppet, ONE), 'EPERM', `${what}: still enforced`);
    unmake();
    await mended(last);
  };
  await isSaid('not YAML', () => box.write('version: 1\npolicies: [\n'), /error\[yaml-syntax\]/, 1);
  await isSaid('empty', () => writeFileSync(box.policyFile, ''), /error\[empty\]/, 2);
  await isSaid(
    'a mistake',
    () => box.write(good(3).replace('reject', 'rejcet')),
    /policy\.yaml:8:24: error\[wrong-value\][^]*\^[^]*fix: /,
    3,
  );
  await isSaid(
    'a directory',
    () => {
      unlinkSync(box.policyFile);
      mkdirSync(box.policyFile);
    },
    /not a regular file|is a directory/,
    4,
    () => rmdirSync(box.policyFile),
  );
  await isSaid(
    'writable by others',
    () => {
      box.write(good(5));
      chmodSync(box.policyFile, 0o666);
    },
    /others can write it \(mode 0666\)/,
    5,
  );
  await isSaid(
    'of another owner',
    () => {
      box.write(good(6));
      chownSync(box.policyFile, 65534, 65534);
    },
    /belongs to user 65534/,
    6,
  );
  await isSaid(
    'a dangling symlink',
    () => {
      unlinkSync(box.policyFile);
      symlinkSync('nowhere', box.policyFile);
    },
    /no such file/,
    7,
  );
  t.ok(agent.isRunning);
});

t.test('made right by chmod alone, a file is taken', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  writeFileSync(`${box.policyFile}~`, policyText(cgroup, { rules: reject(TWO) }), { mode: 0o600 });
  chmodSync(`${box.policyFile}~`, 0o622);
  renameSync(`${box.policyFile}~`, box.policyFile);
  await agent.says('others can write it');
  chmodSync(box.policyFile, 0o644);
  await rejects(puppet, TWO);
});

t.test('1000 writes in a second settle to the last state', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  const start = performance.now();
  for (let i = 1; i <= 1000; i++) {
    writeFileSync(
      box.policyFile,
      policyText(cgroup, { rules: reject(ONE, `127.7.${String(i >> 8)}.${String(i & 255)}`) }),
    );
    // Lets the loop breathe, and paces the writes over about a second.
    if (i % 10 === 0) await until('the next ten', () => performance.now() - start >= i, 5000);
  }
  await rejects(puppet, '127.7.3.232');
  t.equal(await probe(puppet, '127.7.3.231'), 'ok', 'the last but one is gone');
  const generations = agent.count('policy in force as generation');
  t.ok(generations < 20, `${String(generations)} generations for 1000 writes`);
});

t.test('set files are watched like the policy itself', async (t) => {
  const { box, cgroup, puppet, agent } = await begin(t);
  const feed = join(box.folder, 'feeds/a.netset');
  const other = join(box.folder, 'feeds/b.netset');
  const naming = (file: string): string =>
    policyText(cgroup, { sets: `feed: {file: ${file}}`, rules: reject('feed', ONE) });
  box.write('127.3.3.3\n', feed);
  box.write(naming('feeds/a.netset'));
  await rejects(puppet, '127.3.3.3');

  box.write('127.3.3.4 # changed\n', feed);
  await rejects(puppet, '127.3.3.4');
  t.equal(await probe(puppet, '127.3.3.3'), 'ok');

  let from = agent.lines.length;
  unlinkSync(feed);
  await agent.says('the last good policy stays in force', from);
  t.equal(await probe(puppet, '127.3.3.4'), 'EPERM', 'the list of the deleted file stays');
  box.write('127.3.3.5\n', feed);
  await rejects(puppet, '127.3.3.5');

  from = agent.lines.length;
  box.write(naming('feeds/b.netset'));
  await agent.says('the last good policy stays in force', from);
  box.write('127.3.3.6\n', other);
  await rejects(puppet, '127.3.3.6');
  box.write('127.3.3.7\n', other);
  await rejects(puppet, '127.3.3.7');

  from = agent.lines.length;
  writeFileSync(other, '127.3.3.8\nnot an address\n');
  await agent.says('the last good policy stays in force', from);
  const said = agent.lines.slice(from).find(({ level }) => level === 50);
  t.match(said, { file: other, line: 2, column: 1 }, 'the mistake is named where it is');
  box.write('127.3.3.8\n', other);
  await rejects(puppet, '127.3.3.8');

  box.write(policyText(cgroup, { rules: reject(ONE) }));
  await until('the list is gone', async () => (await probe(puppet, '127.3.3.8')) === 'ok');
  box.write(naming('feeds/a.netset'));
  await rejects(puppet, '127.3.3.5');
  box.write('127.3.3.9\n', feed);
  await rejects(puppet, '127.3.3.9');
});

t.test('a bad file is told once, not at every resync', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  await box.apply(policyText(cgroup, { rules: reject(ONE) }));
  box.write('version: 2\n');
  const agent = await AgentProcess.start(box, '--resync', '1', '--log-level', 'debug');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  await agent.says('the last good policy stays in force');
  const before = agent.loud(40).length;
  agent.signal('SIGHUP');
  const made = box.cgroup('web2');
  await until(
    'two resyncs have passed',
    () => agent.lines.filter(({ msg }) => msg === 'looked').length >= 4,
  );
  t.equal(agent.loud(40).length, before, agent.story());
  t.ok(made);
});
