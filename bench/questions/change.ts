// How long a change takes from the settled file to being enforced by a running agent.

import { appendFileSync, copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { REPLACED_MS, WRITTEN_MS } from '../../src/source/watch.js';
import { outside4, textOf4 } from '../generate.js';
import { policyText, replace, RunningAgent } from '../lib/cgfw.js';
import { listOf, netsetFile, SEED } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { residentMb } from '../lib/memory.js';
import { BUILT, must, run } from '../lib/run.js';
import { count, rowOf } from '../lib/stats.js';
import { restore, restoreText } from '../peers/ipset.js';
import { load, nft, setRules } from '../peers/nft.js';
import type { Mode, Question, Row, Trial } from '../question.js';

/** Between two changes, so that each meets an agent at rest. */
const PAUSE_MS = 300;

const feedPolicy = (cgroup: string, feed: string): string =>
  policyText(
    [
      {
        name: 'web',
        cgroups: [cgroup],
        egress: { default: 'allow', rules: [{ action: 'reject', to: 'feed' }] },
      },
    ],
    {
      sets: { feed: { file: feed } },
    },
  );

/** One line more in the list, written aside and renamed; each change is proved by a socket. */
async function changeList(ground: Ground, mode: Mode, size: number): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const netns = await ground.netns('walled');
  const feed = ground.file('feed.netset');
  copyFileSync(netsetFile(size), feed);
  const file = ground.file('policy.yaml');
  replace(file, feedPolicy(cgroup, feed));
  const agent = await RunningAgent.start(ground, file);
  const samples: number[] = [];
  for (const address of outside4(SEED + 9, listOf(size), mode === 'quick' ? 3 : 9)) {
    await delay(PAUSE_MS);
    copyFileSync(feed, `${feed}.new`);
    appendFileSync(`${feed}.new`, `${textOf4(address)}\n`);
    samples.push(await agent.timeToEnforced(() => renameSync(`${feed}.new`, feed)));
    const probe = await run([join(BUILT, 'traffic'), 'probe', textOf4(address)], {
      cgroup: ground.directory(cgroup),
      netns,
    });
    if (probe.code !== 1) throw new Error(`${textOf4(address)} is not refused after the change`);
  }
  const rows = [
    rowOf(`cgfw ${count(size)}`, 'one line changed', 'ms', samples),
    rowOf(`cgfw ${count(size)}`, 'one line changed, settled', 'ms', since(samples, REPLACED_MS)),
  ];
  const other = readFileSync(netsetFile(size, 2));
  const replaced: number[] = [];
  for (let i = 0; i < (mode === 'quick' ? 1 : 5); i++) {
    await delay(PAUSE_MS);
    writeFileSync(`${feed}.new`, i % 2 === 0 ? other : readFileSync(netsetFile(size)), {
      mode: 0o644,
    });
    replaced.push(await agent.timeToEnforced(() => renameSync(`${feed}.new`, feed)));
  }
  rows.push(rowOf(`cgfw ${count(size)}`, 'everything replaced', 'ms', replaced));
  rows.push(
    rowOf(`cgfw ${count(size)}`, 'resident memory of the agent after it', 'MB', [
      residentMb(agent.pid),
    ]),
  );
  await agent.close();
  return rows;
}

/** Without the pause that makes a change settled for the agent. */
const since = (samples: readonly number[], settleMs: number): number[] =>
  samples.map((sample) => sample - settleMs);

/** An edit of a policy of a few rules. */
async function changePolicy(ground: Ground, mode: Mode): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const file = ground.file('policy.yaml');
  const text = (port: number): string =>
    policyText([
      {
        name: 'web',
        cgroups: [cgroup],
        egress: {
          default: 'reject',
          rules: [{ action: 'allow', to: 'any', ports: [`${String(port)}/tcp`, 53] }],
        },
        ingress: { default: 'drop', rules: [{ action: 'allow', from: 'any', ports: ['443/tcp'] }] },
      },
    ]);
  replace(file, text(1));
  const agent = await RunningAgent.start(ground, file);
  const renamed: number[] = [];
  const written: number[] = [];
  for (let i = 0; i < (mode === 'quick' ? 5 : 21); i++) {
    await delay(PAUSE_MS);
    writeFileSync(`${file}.new`, text(1000 + i), { mode: 0o644 });
    renamed.push(await agent.timeToEnforced(() => renameSync(`${file}.new`, file)));
    await delay(PAUSE_MS);
    written.push(await agent.timeToEnforced(() => writeFileSync(file, text(2000 + i))));
  }
  await agent.close();
  return [
    rowOf('cgfw small policy', 'an edit', 'ms', renamed),
    rowOf('cgfw small policy', 'an edit, settled', 'ms', since(renamed, REPLACED_MS)),
    rowOf('cgfw small policy', 'an edit in place', 'ms', written),
    rowOf('cgfw small policy', 'an edit in place, settled', 'ms', since(written, WRITTEN_MS)),
  ];
}

/** `nft add element` and, for everything, the same file again with another list. */
async function changeNft(
  ground: Ground,
  mode: Mode,
  size: number,
  shape: 'interval' | 'hash',
): Promise<Row[]> {
  const netns = await ground.netns('walled');
  const filtered = { netns, cgroup: ground.cgroup('walled'), cgroupRoot: ground.place.cgroupRoot };
  await load(netns, `change-${shape}`, setRules(filtered, size, { shape }));
  const variant = `nft ${shape} set ${count(size)}`;
  const times = size === 1_000_000 ? 1 : mode === 'quick' ? 2 : 5;
  const samples: number[] = [];
  for (const address of outside4(SEED + 9, listOf(size), times)) {
    samples.push(
      (await nft(netns, 'add', 'element', 'inet', 'bench', 'block', `{ ${textOf4(address)} }`))
        .wallMs,
    );
  }
  const rows = [rowOf(variant, 'one line changed', 'ms', samples)];
  const { wallMs } = await load(
    netns,
    `replace-${shape}`,
    setRules(filtered, size, { shape, version: 2 }),
  );
  rows.push(rowOf(variant, 'everything replaced', 'ms', [wallMs]));
  return rows;
}

async function changeIpset(ground: Ground, size: number): Promise<Row[]> {
  const netns = await ground.netns('walled');
  await restore(netns, ground.file('restore'), restoreText('block', size));
  const samples: number[] = [];
  for (const address of outside4(SEED + 9, listOf(size), 5)) {
    samples.push((await must(['ipset', 'add', 'block', textOf4(address)], { netns })).wallMs);
  }
  const { wallMs } = await restore(
    netns,
    ground.file('other'),
    `${restoreText('other', size, 2)}swap other block\ndestroy other\n`,
  );
  const variant = `ipset ${count(size)}`;
  return [
    rowOf(variant, 'one line changed', 'ms', samples),
    rowOf(variant, 'everything replaced', 'ms', [wallMs]),
  ];
}

export const change: Question = {
  name: 'change',
  asks: 'How long does a change take from the settled file, or from the command, to being enforced?',
  trials: (mode): Trial[] => [
    { name: 'small policy', timeoutS: 60, run: (ground) => changePolicy(ground, mode) },
    ...[10_000, 100_000, 1_000_000].flatMap((size): Trial[] => [
      {
        name: `cgfw ${count(size)}`,
        timeoutS: 120,
        run: (ground) => changeList(ground, mode, size),
      },
      { name: `ipset ${count(size)}`, timeoutS: 120, run: (ground) => changeIpset(ground, size) },
      ...(['interval', 'hash'] as const)
        .filter((shape) => mode === 'full' || size < 1_000_000 || shape === 'hash')
        .map((shape) => ({
          name: `nft ${shape} set ${count(size)}`,
          timeoutS: 300,
          run: (ground: Ground) => changeNft(ground, mode, size, shape),
        })),
    ]),
  ],
};
