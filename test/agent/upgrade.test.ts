// New programs and larger tables take over while traffic flows.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { reconcile } from '../../src/agent/reconcile.js';
import { readCounters } from '../../src/kernel/counters.js';
import { listSets } from '../../src/kernel/pins.js';
import { readState } from '../../src/kernel/read.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import type { Place } from '../../src/kernel/place.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import type { Policy } from '../../src/policy/policy.js';
import { PolicyFile } from '../../src/source/policy-file.js';
import type { Puppet } from '../kernel/puppet.js';
import { Sandbox } from '../kernel/sandbox.js';
import { policyText } from './policies.js';

const BLOCKED = '127.1.2.3';
const OPEN = '127.1.2.4';

function policyOf(box: Sandbox, text: string): Policy {
  box.write(text);
  const { policy, diagnostics } = new PolicyFile(box.policyFile, 0).read();
  if (policy === undefined) throw new Error(JSON.stringify(diagnostics));
  return policy;
}

/** Packets of the rule about BLOCKED, as the kernel counts them. */
function refusals(place: Place): number {
  const rule = readState(place, [], 'names-only').program?.names.rules.find(
    ({ name }) => name === 'blocked',
  );
  const set = openCurrentSet(place.pinRoot);
  if (rule === undefined || set === null) throw new Error('the rule is not loaded');
  try {
    return readCounters(set, [rule.counter]).get(rule.counter)?.packets ?? -1;
  } finally {
    set.close();
  }
}

/** Sends to both addresses for as long as `work` takes: what each send came to. */
async function underTraffic(
  puppet: Puppet,
  work: () => Promise<void>,
): Promise<{ sent: number; wrong: string[] }> {
  const socket = await puppet.socket('AF_INET', 'SOCK_DGRAM');
  const wrong: string[] = [];
  let sent = 0;
  let isDone = false;
  const working = work().finally(() => {
    isDone = true;
  });
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set by the callback above
  while (!isDone) {
    const blocked = await socket.try('sendto', { bytes: 'x' }, [BLOCKED, 9]);
    const open = await socket.try('sendto', { bytes: 'x' }, [OPEN, 9]);
    sent++;
    if (blocked !== 'EPERM' || open !== 'ok') wrong.push(`${blocked} ${open}`);
  }
  await working;
  await socket.do('close');
  return { sent, wrong };
}

async function begin(
  t: Test,
): Promise<{ box: Sandbox; cgroup: string; puppet: Puppet; policy: Policy }> {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const cgroup = box.cgroup('web');
  const rules = `[{name: blocked, action: reject, to: ${BLOCKED}}]`;
  const policy = policyOf(box, policyText(cgroup, { rules }));
  await reconcile(box.place, policy, { guards: [] });
  return { box, cgroup, puppet: box.puppet(cgroup), policy };
}

t.test('new programs move in without a gap, and counters go on', async (t) => {
  const { box, puppet, policy } = await begin(t);
  const objectDir = join(box.folder, 'bpf');
  cpSync(box.place.objectDir, objectDir, { recursive: true });
  const place = { ...box.place, objectDir };
  let sets = 0;
  const { sent, wrong } = await underTraffic(puppet, async () => {
    for (let i = 0; i < 5; i++) {
      // Bytes after the end of an ELF file change nothing but what it is called.
      appendFileSync(join(objectDir, 'cgroup_skb.bpf.o'), 'x');
      const outcome = await reconcile(place, policy, { guards: [] });
      t.same(
        outcome.plan.actions.map(({ op }) => op),
        ['load', 'update', 'sweep'],
      );
      t.ok(outcome.remaining.inStep, 'in step afterwards');
      sets = listSets(place.pinRoot).length;
    }
  });
  t.same(wrong, [], `${String(sent)} pairs of packets, none of them judged wrongly`);
  t.equal(sets, 1, 'the old sets are swept');
  t.equal(refusals(place), sent, 'every refusal is counted');
});

t.test('tables grow while traffic flows', async (t) => {
  const { box, cgroup, puppet } = await begin(t);
  const before = openCurrentSet(box.place.pinRoot)?.capacity.ranges4 ?? 0;
  const rules = `[{name: blocked, action: reject, to: ${BLOCKED}}, {action: reject, to: feed}]`;
  const text = policyText(cgroup, { sets: 'feed: {file: feed.netset}', rules });
  let last: Policy | null = null;
  const { sent, wrong } = await underTraffic(puppet, async () => {
    for (const count of [30_000, 120_000]) {
      const lines = Array.from(
        { length: count },
        (_, i) =>
          `100.${String(64 + (i >> 14))}.${String((i >> 6) & 255)}.${String((i & 63) * 4)}\n`,
      );
      box.write(lines.join(''), join(box.folder, 'feed.netset'));
      last = policyOf(box, text);
      const outcome = await reconcile(box.place, last, { guards: [] });
      t.match(outcome.plan.actions[0], { op: 'load', reason: 'tables must grow' });
      t.ok(outcome.remaining.inStep);
    }
  });
  const after = openCurrentSet(box.place.pinRoot)?.capacity.ranges4 ?? 0;
  t.ok(after > before, `${String(before)} blocks became ${String(after)}`);
  t.same(wrong, [], `${String(sent)} pairs of packets, none of them judged wrongly`);
  t.equal(refusals(box.place), sent, 'every refusal is counted');
});

t.test('more rules than counters: those of rules that stay go on', async (t) => {
  const { box, cgroup, puppet } = await begin(t);
  const more = Array.from(
    { length: 4200 },
    (_, i) => `{action: reject, to: 100.64.${String(i >> 8)}.${String(i & 255)}}`,
  );
  const text = policyText(cgroup, {
    rules: `[{name: blocked, action: reject, to: ${BLOCKED}}, ${more.join(', ')}]`,
  });
  const { sent, wrong } = await underTraffic(puppet, async () => {
    await reconcile(box.place, policyOf(box, text), { guards: [] });
  });
  t.same(wrong, []);
  const counted = refusals(box.place);
  // Refusals between the copy of the counters and the move of a link are counted in the old map.
  t.ok(
    counted <= sent && counted >= sent * 0.9,
    `${String(counted)} of ${String(sent)} refusals counted`,
  );
});

t.test('a version with another size of ring takes over the loaded one', async (t) => {
  const { box, puppet, policy } = await begin(t);
  const source = join(box.folder, 'source');
  cpSync(join(PACKAGE_ROOT, 'bpf'), source, { recursive: true });
  const maps = readFileSync(join(source, 'maps.h'), 'utf8');
  const changed = maps.replace(
    /__uint\(max_entries, \d+ << 20\);/,
    '__uint(max_entries, 1 << 20);',
  );
  t.not(changed, maps);
  writeFileSync(join(source, 'maps.h'), changed);
  const objectDir = join(box.folder, 'bpf');
  mkdirSync(objectDir);
  const multiarch = execFileSync('g++', ['-print-multiarch'], { encoding: 'utf8' }).trim();
  for (const name of readdirSync(source).filter((file) => file.endsWith('.bpf.c'))) {
    const flags = [
      '-O2',
      '-g',
      '-target',
      'bpf',
      '-mcpu=v2',
      `-I/usr/include/${multiarch}`,
      `-I${source}`,
    ];
    execFileSync('clang', [
      ...flags,
      '-c',
      join(source, name),
      '-o',
      join(objectDir, name.replace(/c$/, 'o')),
    ]);
  }
  const place = { ...box.place, objectDir };
  const { sent, wrong } = await underTraffic(puppet, async () => {
    const outcome = await reconcile(place, policy, { guards: [] });
    t.same(
      outcome.plan.actions.map(({ op }) => op),
      ['load', 'update', 'sweep'],
    );
    t.ok(outcome.remaining.inStep);
  });
  t.same(wrong, []);
  t.equal(refusals(place), sent);
});
