// Enforcement outlives every process, and every cut-short apply is finished by the next.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { reconcile } from '../../src/agent/reconcile.js';
import { prospect } from '../../src/agent/prospect.js';
import type { Action } from '../../src/plan/action.js';
import type { Policy } from '../../src/policy/policy.js';
import { listCgroups } from '../../src/kernel/cgroups.js';
import { removeEverything } from '../../src/kernel/pins.js';
import { readState } from '../../src/kernel/read.js';
import { PolicyFile } from '../../src/source/policy-file.js';
import { Sandbox, until } from '../kernel/sandbox.js';
import { policyText, probe, reject } from './policies.js';
import { AgentProcess, CGFW, ENV, runProcess } from './process.js';

const ONE = '127.1.2.3';
const TWO = '127.1.2.4';

type Rule = { readonly direction: string; readonly name: string; readonly packets: number };

async function packetsOf(box: Sandbox, name: string): Promise<number> {
  const { policies } = (await box.json('status', box.policyFile)) as {
    policies: { rules: Rule[] }[];
  };
  return (
    policies[0]?.rules.find((rule) => rule.direction === 'egress' && rule.name === name)?.packets ??
    -1
  );
}

function policyOf(box: Sandbox, text: string): Policy {
  box.write(text);
  const { policy } = new PolicyFile(box.policyFile, 0).read();
  if (policy === undefined) throw new Error(text);
  return policy;
}

t.test('an agent ends in any way, and the next one adopts what is loaded', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  const puppet = box.puppet(cgroup);
  const agents: AgentProcess[] = [];
  t.teardown(async () => {
    for (const agent of agents) await agent.end('SIGKILL');
    await box.close();
  });
  const start = async (): Promise<AgentProcess> => {
    const agent = await AgentProcess.start(box, '--resync', '3600');
    agents.push(agent);
    return agent;
  };
  box.write(policyText(cgroup, { rules: reject(ONE) }));
  const first = await start();
  const server = await puppet.socket();
  await server.do('bind', ['127.0.0.1', 0]);
  await server.do('listen');
  const client = await puppet.socket();
  await client.do('connect', ['127.0.0.1', await server.port()]);
  const accepted = await server.accept();
  t.equal(await probe(puppet, ONE), 'EPERM');
  const before = await packetsOf(box, '0');
  t.equal(before, 1, 'the refused packet is counted');

  t.equal(await first.end('SIGTERM'), 0);
  t.ok(first.count('the loaded policy stays in force') === 1);
  t.equal(await probe(puppet, ONE), 'EPERM', 'after SIGTERM');
  const second = await start();
  t.equal(await second.end('SIGINT'), 0);
  const third = await start();
  t.equal(await third.end('SIGKILL'), 'SIGKILL');
  t.equal(await probe(puppet, ONE), 'EPERM', 'after kill -9');
  t.equal((await box.cgfw('status', box.policyFile)).code, 0, 'status needs no agent');
  const fourth = await start();
  t.equal(fourth.count('adopted as it is'), 1, 'the plan of the new agent is empty');
  t.equal((await fourth.says('agent started'))['generation'], 1);
  t.equal(await packetsOf(box, '0'), before + 2, 'counters go on');
  await client.do('send', { bytes: 'still here' });
  t.equal(await accepted.do('recv', 100), 'still here', 'a connection lives through all of it');

  const refused = await runProcess(box, ['run', box.policyFile]);
  t.equal(refused.code, 2);
  t.equal(
    refused.stderr,
    `cgfw: another cgfw agent is running (pid ${String(fourth.pid)}, on ${box.policyFile})\n` +
      `  fix: stop it first: kill ${String(fourth.pid)}, or systemctl stop cgfw\n`,
  );
  t.ok(fourth.isRunning);
});

t.test(
  'an agent without a usable file keeps what is loaded, and covers new cgroups with it',
  async (t) => {
    for (const [what, text] of [
      ['bad', 'version: 2\n'],
      ['absent', null],
    ] as const) {
      const box = new Sandbox();
      const good = policyText(`${box.name}/*`, { rules: reject(ONE), log: 'denied' });
      await box.apply(good);
      if (text === null) {
        const { unlinkSync } = await import('node:fs');
        unlinkSync(box.policyFile);
      } else box.write(text);
      const agent = await AgentProcess.start(box, '--resync', '3600');
      try {
        await agent.says('the last good policy stays in force');
        const cgroup = box.cgroup('late');
        await until('the new cgroup is attached', () =>
          readState(box.place, listCgroups(box.place.cgroupRoot), 'names-only').attachments.some(
            ({ path, policy }) => path === cgroup && policy === 1,
          ),
        );
        t.equal(await probe(box.puppet(cgroup), ONE), 'EPERM', `${what}: by the loaded selectors`);
        const line = await agent.says(`-> ${ONE}:9`);
        t.match(
          line,
          { event: { policy: 'web', cgroup, verdict: 'reject', rule: '0' } },
          `${what}: events are logged`,
        );
        box.write(policyText(`${box.name}/*`, { rules: reject(TWO) }));
        await agent.says('policy in force as generation 2');
        t.equal(await probe(box.puppet(cgroup), TWO), 'EPERM', `${what}: the mended file is taken`);
      } finally {
        await agent.end('SIGKILL');
        await box.close();
      }
    }
  },
);

t.test('an agent with nothing loaded and no file waits for it', async (t) => {
  const box = new Sandbox();
  const cgroup = box.cgroup('web');
  const agent = await AgentProcess.start(box, '--resync', '3600');
  t.teardown(async () => {
    await agent.end('SIGKILL');
    await box.close();
  });
  t.equal(agent.loud().length, 2, 'the reason, and that nothing changes');
  box.write(policyText(cgroup, { rules: reject(ONE) }));
  await agent.says('policy in force as generation 1');
  t.equal(await probe(box.puppet(cgroup), ONE), 'EPERM');
});

t.test(
  'everything is taken down: generations count anew, and events have the names of now',
  async (t) => {
    const box = new Sandbox();
    const cgroup = box.cgroup('web');
    const puppet = box.puppet(cgroup);
    const write = (name: string): void =>
      box.write(
        policyText(cgroup, {
          rules: `[{action: reject, to: ${ONE}, name: ${name}}]`,
          log: 'denied',
        }),
      );
    write('first');
    const agent = await AgentProcess.start(box, '--resync', '3600');
    t.teardown(async () => {
      await agent.end('SIGKILL');
      await box.close();
    });
    const ruleOfEvent = async (from: number): Promise<unknown> => {
      t.equal(await probe(puppet, ONE), 'EPERM');
      return (await agent.says(`-> ${ONE}:9`, from))['event'];
    };
    t.match(await ruleOfEvent(0), { rule: 'first' });
    write('second');
    await agent.says('policy in force as generation 2');
    t.match(await ruleOfEvent(agent.lines.length), { rule: 'second' });
    const from = agent.lines.length;
    removeEverything(box.place.pinRoot);
    agent.signal('SIGHUP');
    t.match(await agent.says('repaired', from), { generation: 1 });
    t.match(await ruleOfEvent(agent.lines.length), { rule: 'second' });
  },
);

/** Runs the apply again and again, stopping before one more action each time. */
async function stopAtEachAction(
  box: Sandbox,
  wanted: Policy,
  check: (stoppedAt: Action, isSwitched: boolean) => Promise<void>,
): Promise<number> {
  for (let stop = 0; ; stop++) {
    let at = 0;
    let isSwitched = false;
    let stoppedAt: Action | null = null;
    try {
      await reconcile(box.place, wanted, {
        guards: [],
        onAction: (action) => {
          if (at++ === stop) {
            stoppedAt = action;
            throw new Error('stopped');
          }
          if (action.op === 'switch') isSwitched = true;
        },
      });
    } catch (error) {
      if (!(error instanceof Error) || error.message !== 'stopped') throw error;
    }
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set by the callback above
    if (stoppedAt === null) return stop;
    await check(stoppedAt, isSwitched);
    // Whoever comes next begins from wherever this one was stopped: undo it for the next round.
  }
}

t.test('an apply that is stopped before any of its actions', async (t) => {
  const box = new Sandbox();
  const web = box.cgroup('web');
  const puppet = box.puppet(web);
  t.teardown(() => box.close());
  const other = box.cgroup('other');
  const old = policyOf(box, policyText(web, { rules: reject(ONE) }));
  const wanted = policyOf(box, policyText([web, other], { rules: reject(TWO) }));
  await reconcile(box.place, old, { guards: [] });

  const stopped: string[] = [];
  let isFirst = true;
  const stops = await stopAtEachAction(box, wanted, async (action, isSwitched) => {
    stopped.push(action.op);
    const inForce = [await probe(puppet, ONE), await probe(puppet, TWO)];
    t.same(
      inForce,
      isSwitched ? ['ok', 'EPERM'] : ['EPERM', 'ok'],
      `before ${action.op}: the ${isSwitched ? 'new' : 'old'} policy, whole`,
    );
    const again = await reconcile(box.place, wanted, { guards: [] });
    t.ok(again.remaining.inStep, `before ${action.op}: the next apply converges`);
    t.same([await probe(puppet, ONE), await probe(puppet, TWO)], ['ok', 'EPERM']);
    t.same(again.state.leftovers, []);
    t.equal(readdirSync(join(box.place.pinRoot, 'links')).length, 10, 'five links for each cgroup');
    const back = await reconcile(box.place, old, { guards: [] });
    t.ok(back.remaining.inStep);
    isFirst = false;
  });
  t.notOk(isFirst);
  t.ok(stops >= 5, `${String(stops)} actions: ${stopped.join(' ')}`);
  t.same(new Set(stopped), new Set(['attach', 'fill', 'assign', 'switch']));
});

t.test(
  'a first apply that is stopped before any of its actions leaves nothing in force',
  async (t) => {
    const box = new Sandbox();
    const web = box.cgroup('web');
    const puppet = box.puppet(web);
    t.teardown(() => box.close());
    const wanted = policyOf(box, policyText(web, { rules: reject(TWO) }));
    await stopAtEachAction(box, wanted, async (action, isSwitched) => {
      t.equal(await probe(puppet, TWO), isSwitched ? 'EPERM' : 'ok', `before ${action.op}`);
      const again = await reconcile(box.place, wanted, { guards: [] });
      t.ok(again.remaining.inStep);
      t.equal(await probe(puppet, TWO), 'EPERM');
      t.equal((await box.cgfw('down')).code, 0);
      t.equal(await probe(puppet, TWO), 'ok');
    });
  },
);

t.test('kill -9 in the middle of an apply', async (t) => {
  const box = new Sandbox();
  const web = box.cgroup('web');
  const puppet = box.puppet(web);
  t.teardown(() => box.close());
  const old = policyText(web, { rules: reject(ONE) });
  const lines = Array.from(
    { length: 4000 },
    (_, i) => `198.51.${String(i >> 8)}.${String(i & 255)}\n`,
  ).join('');
  await box.apply(old);
  writeFileSync(join(box.folder, 'big.netset'), lines);
  const wanted = policyText(web, { sets: 'big: {file: big.netset}', rules: reject('big', TWO) });
  let switched = 0;
  box.write(wanted);
  const beginMs = performance.now();
  t.equal((await runProcess(box, ['apply', box.policyFile])).code, 0);
  const wholeMs = performance.now() - beginMs;
  await box.apply(old);
  for (const share of [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9]) {
    const delayMs = Math.round(share * wholeMs);
    box.write(wanted);
    const child = spawn(ENV, [...CGFW, 'apply', box.policyFile], { env: box.env, stdio: 'ignore' });
    const gone = once(child, 'exit');
    const startMs = performance.now();
    await until('its time has come', () => performance.now() - startMs > delayMs);
    child.kill('SIGKILL');
    await gone;
    const inForce = [await probe(puppet, ONE), await probe(puppet, TWO)].join();
    t.ok(
      inForce === 'EPERM,ok' || inForce === 'ok,EPERM',
      `killed after ${String(delayMs)} ms: ${inForce}, one policy or the other, whole`,
    );
    if (inForce === 'ok,EPERM') switched++;
    t.equal((await box.cgfw('apply', box.policyFile)).code, 0);
    t.same([await probe(puppet, ONE), await probe(puppet, TWO)], ['ok', 'EPERM']);
    t.same(readState(box.place, [], 'names-only').leftovers, []);
    await box.apply(old);
  }
  t.comment(`${String(switched)} of 7 were killed after the switch`);
});

t.test('many writers at once end well, one after the other', async (t) => {
  const box = new Sandbox();
  const web = box.cgroup('web');
  t.teardown(() => box.close());
  const files = Array.from({ length: 4 }, (_, i) => join(box.folder, `p${String(i)}.yaml`));
  files.forEach((file, i) =>
    box.write(policyText(web, { rules: reject(`127.1.2.${String(i)}`) }), file),
  );
  const results = await Promise.all(files.map((file) => runProcess(box, ['apply', file])));
  for (const result of results) t.equal(result.code, 0, result.stderr);
  const generations = results.map(({ stdout }) => /in force: generation (\d+)/.exec(stdout)?.[1]);
  t.same(new Set(generations), new Set(['1', '2', '3', '4']));
  const last = files[generations.indexOf('4')] ?? '';
  t.equal((await box.cgfw('diff', last)).code, 0, 'the last one is in force');
  t.ok(prospect(box.place, null, { guards: [] }).plan.inStep, 'nothing is left over');
});
