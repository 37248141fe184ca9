// A set file that changes more than its guard allows is held back.

import { join } from 'node:path';
import t from 'tap';
import { Sandbox } from '../kernel/sandbox.js';
import { policyText, probe } from './policies.js';
import { AgentProcess } from './process.js';

const FIRST = '127.5.0.1';
const feedOf = (count: number, from = 0): string =>
  Array.from(
    { length: count },
    (_, i) => `127.5.${String((i + from) >> 7)}.${String(((i + from) & 127) * 2 + 1)}\n`,
  ).join('');

t.test('a guarded set', async (t) => {
  const box = new Sandbox();
  const web = box.cgroup('web');
  const puppet = box.puppet(web);
  const feed = join(box.folder, 'feed.netset');
  box.write(feedOf(100), feed);
  box.write(
    policyText(web, {
      sets: 'feed: {file: feed.netset, guard: 50%}',
      rules: '[{action: reject, to: feed}]',
    }),
  );
  const agents: AgentProcess[] = [];
  t.teardown(async () => {
    for (const agent of agents) await agent.end('SIGKILL');
    await box.close();
  });

  t.equal((await box.cgfw('apply', box.policyFile)).code, 0, 'the first load is not guarded');
  t.equal(await probe(puppet, FIRST), 'EPERM');

  box.write(feedOf(90), feed);
  t.equal((await box.cgfw('apply', box.policyFile)).code, 0, 'a small change is taken');

  const agent = await AgentProcess.start(box, '--resync', '1');
  agents.push(agent);
  box.write(feedOf(10, 200), feed);
  const said = await agent.says('a set file changes more than its guard allows');
  t.match(said, { set: 'feed', add: 10, remove: 90, guard: 0.5, fix: /cgfw apply --force/ });
  t.equal(await probe(puppet, FIRST), 'EPERM', 'the loaded list stays');
  await agent.end();

  const sentence =
    /^warning\[set-guard\]: the new version of set feed adds 10 and removes 90 of 90 prefixes, its guard allows 50%: the loaded list stays\n {2}fix: look at the file; if it is right, run cgfw apply --force$/m;
  for (const verb of ['diff', 'apply'])
    t.match((await box.cgfw(verb, box.policyFile)).stderr, sentence, verb);
  const status = await box.cgfw('status', box.policyFile);
  t.match(status.stdout, 'note: the new version of set feed is held back by its guard');
  t.equal(await probe(puppet, FIRST), 'EPERM');
  t.match((await box.cgfw('diff', '--force', box.policyFile)).stdout, 'addresses +10 -90');

  t.equal((await box.cgfw('apply', '--force', box.policyFile)).code, 0);
  t.equal(await probe(puppet, FIRST), 'ok', 'apply --force takes it');
  t.match(await box.cgfw('diff', box.policyFile), {
    code: 0,
    stdout: 'in step: the kernel enforces this policy\n',
  });
  t.notMatch((await box.cgfw('status', box.policyFile)).stdout, 'held back');
});
