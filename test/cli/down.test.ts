// What is ours leaves the kernel, whatever state it was in.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { removeAllPins } from '../../src/kernel/pins.js';
import { policyText, probe, reject } from '../agent/policies.js';
import { AgentProcess } from '../agent/process.js';
import { Sandbox } from '../kernel/sandbox.js';

const BLOCKED = '127.1.2.3';

t.test('down leaves nothing, whatever there was', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const web = box.cgroup('web');
  const puppet = box.puppet(web);
  t.same(
    await box.cgfw('down'),
    { code: 0, stdout: 'nothing was attached\n', stderr: '' },
    'nothing was loaded',
  );
  await box.apply(policyText(web, { rules: reject(BLOCKED) }));
  t.equal(await probe(puppet, BLOCKED), 'EPERM');
  t.same(await box.cgfw('down'), {
    code: 0,
    stdout: 'detached 5 programs; nothing is filtered any more\n',
    stderr: '',
  });
  t.equal(await probe(puppet, BLOCKED), 'ok');
  t.notOk(readdirSync('/sys/fs/bpf').includes(box.name), 'no pin is left');
  t.same(await box.json('down'), { detached: 0 }, 'twice is fine');

  await box.apply(policyText(web, { rules: reject(BLOCKED) }));
  removeAllPins(join(box.place.pinRoot, 'shared'));
  t.equal((await box.cgfw('down')).code, 0, 'half of it was gone already');
  t.equal(await probe(puppet, BLOCKED), 'ok');
  t.notOk(readdirSync('/sys/fs/bpf').includes(box.name));

  box.write(policyText(web, { rules: reject(BLOCKED) }));
  const agent = await AgentProcess.start(box);
  const refused = await box.cgfw('down');
  t.equal(refused.code, 2);
  t.match(
    refused.stderr,
    `cgfw: an agent is running (pid ${String(agent.pid)}) and would load the policy again\n  fix: stop it first`,
  );
  t.equal(await probe(puppet, BLOCKED), 'EPERM');
  await agent.end('SIGKILL');
  t.equal((await box.cgfw('down')).code, 0);
});
