// A policy on trial: undone by itself unless it is confirmed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { readTrial } from '../../src/kernel/trial.js';
import { policyText, probe, reject } from '../agent/policies.js';
import { AgentProcess, CGFW, ENV } from '../agent/process.js';
import type { Puppet } from '../kernel/puppet.js';
import { Sandbox, until } from '../kernel/sandbox.js';

const OLD = '127.1.2.3';
const NEW = '127.1.2.4';

interface Stage {
  readonly box: Sandbox;
  readonly puppet: Puppet;
  readonly web: string;
  /** The file on trial. */
  readonly file: string;
  readonly inForce: () => Promise<string>;
}

async function begin(t: Test): Promise<Stage> {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const web = box.cgroup('web');
  const puppet = box.puppet(web);
  const file = join(box.folder, 'new.yaml');
  box.write(policyText(web, { rules: reject(OLD) }));
  box.write(policyText(web, { rules: reject(NEW) }), file);
  const inForce = async (): Promise<string> => {
    const [old, now] = [await probe(puppet, OLD), await probe(puppet, NEW)];
    return old === 'EPERM' && now === 'ok'
      ? 'old'
      : old === 'ok' && now === 'EPERM'
        ? 'new'
        : old === 'ok'
          ? 'none'
          : 'both';
  };
  return { box, puppet, web, file, inForce };
}

t.test('a trial that nobody confirms is undone', async (t) => {
  const { box, file, inForce } = await begin(t);
  t.equal((await box.cgfw('apply', box.policyFile)).code, 0);
  const { code, stdout } = await box.cgfw('apply', file, '--confirm', '2s');
  t.equal(code, 0);
  t.match(
    stdout,
    /in force: generation 2\non trial: undone in [12] seconds unless you run cgfw confirm\n$/,
  );
  t.equal(await inForce(), 'new');
  t.match(await box.json('status', file), { trial: { seconds: Number }, notes: [/on trial/] });
  const refused = await box.cgfw('apply', box.policyFile);
  t.equal(refused.code, 2);
  t.match(
    refused.stderr,
    /another policy is on trial for \d more seconds\n {2}fix: end the trial first: cgfw confirm keeps/,
  );
  await until('the old policy is back', async () => (await inForce()) === 'old');
  await until('the trial is forgotten', () => readTrial(box.place) === null);
  t.equal((await box.cgfw('diff', box.policyFile)).code, 0, 'whole, to the last byte');
  const late = await box.cgfw('confirm');
  t.equal(late.code, 2);
  t.match(late.stderr, 'no policy is on trial');
});

t.test('a confirmed trial stays', async (t) => {
  const { box, file, inForce } = await begin(t);
  await box.cgfw('apply', box.policyFile);
  await box.cgfw('apply', file, '--confirm', '2s');
  const deadlineNs = readTrial(box.place)?.deadlineNs ?? 0n;
  t.same(await box.cgfw('confirm'), {
    code: 0,
    stdout: 'confirmed: generation 2 stays in force\n',
    stderr: '',
  });
  await until('its time has passed', () => process.hrtime.bigint() > deadlineNs + 700_000_000n);
  t.equal(await inForce(), 'new');
  const inStep = await box.cgfw('apply', file, '--confirm', '2s');
  t.match(inStep.stdout, /^in step/, 'nothing to try');
  t.equal(readTrial(box.place), null);
});

t.test('confirm --revert puts back at once, and --json says so', async (t) => {
  const { box, file, inForce } = await begin(t);
  await box.cgfw('apply', box.policyFile);
  t.match(await box.json('apply', file, '--confirm', '1h'), {
    applied: true,
    trial: { generation: 2, seconds: 3600 },
  });
  t.same(await box.json('confirm', '--revert'), {
    confirmed: false,
    reverted: true,
    generation: 3,
  });
  t.equal(await inForce(), 'old');
  await box.cgfw('apply', file, '--confirm', '1h');
  t.same(await box.json('confirm'), { confirmed: true, reverted: false, generation: 4 });
  t.equal(await inForce(), 'new');
});

t.test('a first policy on trial goes back to nothing', async (t) => {
  const { box, file, inForce } = await begin(t);
  await box.cgfw('apply', file, '--confirm', '1s');
  t.equal(await inForce(), 'new');
  await until('nothing is in force', async () => (await inForce()) === 'none');
  await until('nothing is loaded', async () => (await box.cgfw('show')).code === 2);
});

t.test('the trial outlives the terminal it was begun in', async (t) => {
  const { box, file, inForce } = await begin(t);
  await box.cgfw('apply', box.policyFile);
  // A session of its own, as a terminal has; its end is a SIGHUP to all in it.
  const command = [ENV, ...CGFW, 'apply', file, '--confirm', '2s'];
  const shell = spawn('sh', ['-c', '"$@"; kill -HUP 0; sleep 60', 'sh', ...command], {
    env: box.env,
    detached: true,
    stdio: 'ignore',
  });
  await once(shell, 'exit');
  t.equal(await inForce(), 'new');
  await until('the old policy is back', async () => (await inForce()) === 'old');
});

t.test('a running agent leaves a trial alone, and ends it where nobody else does', async (t) => {
  const { box, file, inForce, web } = await begin(t);
  const agent = await AgentProcess.start(box, '--resync', '1');
  t.teardown(() => agent.end('SIGKILL'));
  const tried = await box.cgfw('apply', file, '--confirm', '3s');
  t.match(tried.stderr, `follows ${box.policyFile} and puts that back when the trial is over`);
  await agent.says('a policy is on trial');
  // Its file changes meanwhile: that waits.
  writeFileSync(box.policyFile, policyText(web, { rules: reject(OLD, '127.1.2.9') }));
  const disagrees = await box.cgfw('confirm');
  t.equal(disagrees.code, 2);
  t.match(
    disagrees.stderr,
    /the running agent follows \S+, which says something else[^]*fix: copy the policy there first: cp \S+new\.yaml /,
  );
  t.equal(await inForce(), 'new', 'still');
  await until('the old policy is back', async () => (await inForce()) === 'old');
  const from = agent.lines.length - 6;
  await agent.says('policy in force as generation', Math.max(0, from));
  await until(
    'what the file says now is in force',
    async () => (await box.cgfw('diff', box.policyFile)).code === 0,
  );

  await box.cgfw('apply', file, '--confirm', '1h');
  box.write(policyText(web, { rules: reject(NEW) }));
  t.equal((await box.cgfw('confirm')).code, 0, 'the file says the same by now');
  await agent.says('the trial is over');
  t.equal(await inForce(), 'new');
});

t.test('an agent ends a trial when the process that waits was killed', async (t) => {
  const { box, file, inForce } = await begin(t);
  await box.cgfw('apply', box.policyFile);
  // Begun in-process: the waiting process is the only one with this environment.
  await box.cgfw('apply', file, '--confirm', '3s');
  const { readdirSync, readFileSync } = await import('node:fs');
  const waiting = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0confirm\0--wait') &&
          readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`CGFW_PINS=${box.place.pinRoot}`)
        );
      } catch {
        return false;
      }
    });
  t.equal(waiting.length, 1);
  process.kill(Number(waiting[0]), 'SIGKILL');
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(() => agent.end('SIGKILL'));
  t.equal(await inForce(), 'new');
  await agent.says('the policy on trial was not confirmed');
  t.equal(await inForce(), 'old');
});
