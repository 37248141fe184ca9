// Accelerated connections while programs are replaced, tables grow, and the agent dies.

import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { reconcile } from '../../src/agent/reconcile.js';
import type { Policy } from '../../src/policy/policy.js';
import { PolicyFile } from '../../src/source/policy-file.js';
import { close, read, say, skip, Stage } from '../kernel/acceleration.js';
import type { Pair } from '../kernel/acceleration.js';
import { AgentProcess } from './process.js';

const MIB = 1 << 20;
const SIZE = 60_000;

async function begin(t: Test): Promise<Stage> {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  return stage;
}

function policyOf(stage: Stage, text: string): Policy {
  stage.box.write(text);
  const { policy, diagnostics } = new PolicyFile(stage.box.policyFile, 0).read();
  if (policy === undefined) throw new Error(JSON.stringify(diagnostics));
  return policy;
}

/** Pours bytes through a connection, in both directions at once, while `work` is done. */
async function underLoad(t: Test, { near, far }: Pair, work: () => Promise<void>): Promise<void> {
  const total = 32 * MIB;
  await near.do('pour', 0, total, SIZE);
  await far.do('pour', 0, total, SIZE);
  let at = 0;
  let isDone = false;
  const working = work().finally(() => {
    isDone = true;
  });
  while (at < total) {
    // Slowly, so that there is something left to move when the work is done.
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set by the callback above
    const end = Math.min(at + (isDone ? 8 : 1) * MIB, total);
    const ends = await Promise.all([near.do('drain', at, end), far.do('drain', at, end)]);
    t.same(ends, [end, end]);
    at = end;
  }
  await working;
  await Promise.all([near.do('join'), far.do('join')]);
}

/** Deny the flow: a connection that passes TCP or a redirect of the new programs obeys. */
async function obeys(t: Test, stage: Stage, { near, far }: Pair): Promise<void> {
  await stage.box.apply(stage.policy({ egress: { default: 'drop' } }));
  await near.do('sendall', { bytes: 'denied' });
  t.equal(await far.do('readable', 0.3), false, 'the new rule is obeyed');
  await stage.box.apply(stage.policy());
  t.equal(await read(far, 6), 'denied');
  t.equal(await say(far, near, 'and back'), 'and back');
}

t.test('new programs: accelerated connections return to TCP whole', { skip }, async (t) => {
  const stage = await begin(t);
  const objectDir = join(stage.box.folder, 'bpf');
  cpSync(stage.box.place.objectDir, objectDir, { recursive: true });
  const place = { ...stage.box.place, objectDir };
  const policy = policyOf(stage, stage.policy());
  const pair = await stage.accelerated();
  const idle = await stage.accelerated();
  await idle.near.do('sendall', { bytes: 'under way ' });
  const added = await stage.added(() =>
    underLoad(t, pair, async () => {
      // Bytes after the end of an ELF file change nothing but what it is called.
      appendFileSync(join(objectDir, 'accelerate.bpf.o'), 'x');
      const outcome = await reconcile(place, policy, { guards: [] });
      t.ok(outcome.plan.actions.some(({ op }) => op === 'load'));
      t.ok(outcome.remaining.inStep);
    }),
  );
  t.ok(added['bytes']! > 0);
  await idle.near.do('sendall', { bytes: 'then' });
  t.equal(await read(idle.far, 14), 'under way then');
  await obeys(t, stage, idle);
  t.equal(await say(pair.near, pair.far, 'goes on'), 'goes on');
  await close(pair.near, pair.far, idle.near, idle.far);
  const { near, far } = await stage.accelerated();
  const again = await stage.added(() => say(near, far, 'again'));
  t.same(again, { messages: 1, bytes: 5 }, 'a new connection is accelerated');
  await close(near, far);
  await stage.isQuiet();
});

t.test('tables that grow: the same', { skip }, async (t) => {
  const stage = await begin(t);
  const feed = join(stage.box.folder, 'feed.netset');
  const text = stage.policy().replace('{', '{ "sets": { "feed": { "file": "feed.netset" } },');
  const pair = await stage.accelerated();
  await underLoad(t, pair, async () => {
    const lines = Array.from(
      { length: 60_000 },
      (_, i) => `100.${64 + (i >> 14)}.${(i >> 6) & 255}.${(i & 63) * 4}\n`,
    );
    stage.box.write(lines.join(''), feed);
    const rules = [{ action: 'drop', to: 'feed' }];
    const more = text.replace(
      '"accelerate": true',
      `"accelerate": true, "egress": ${JSON.stringify({ default: 'allow', rules })}`,
    );
    const policy = policyOf(stage, more);
    const outcome = await reconcile(stage.box.place, policy, { guards: [] });
    t.match(outcome.plan.actions[0], { op: 'load', reason: 'tables must grow' });
  });
  await obeys(t, stage, pair);
  await close(pair.near, pair.far);
});

t.test('an agent that is killed changes nothing', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  stage.box.write(stage.policy());
  const agent = await AgentProcess.start(stage.box);
  const { near, far } = await stage.accelerated();
  t.equal(await agent.end('SIGKILL'), 'SIGKILL');
  const added = await stage.added(async () => {
    t.equal(await say(near, far, 'to the server'), 'to the server');
    t.equal(await say(far, near, 'and back'), 'and back');
    const { near: second, far: other } = await stage.connect();
    t.equal(await say(second, other, 'a new one'), 'a new one');
    await close(second, other);
  });
  t.match(added, { redirected: 1, messages: 3 });
  await close(near, far);
});
