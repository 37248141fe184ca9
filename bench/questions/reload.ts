// Whether packets meet a mixture, or no policy, while policies take turns.

import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { linesOf4, outside4, textOf4 } from '../generate.js';
import { policyText, replace, RunningAgent } from '../lib/cgfw.js';
import { dataFile, listOf, SEED } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { count, rowOf } from '../lib/stats.js';
import { flips } from '../lib/traffic.js';
import type { Flips } from '../lib/traffic.js';
import { setRules } from '../peers/nft.js';
import { must } from '../lib/run.js';
import type { Mode, Question, Row, Trial } from '../question.js';

/** Two addresses in no list of ours: list 1 gets the first, list 2 the second. */
function pairOf(size: number): readonly [string, string] {
  const [first = 0, second = 0] = outside4(SEED + 5, listOf(size), 2);
  return [textOf4(first), textOf4(second)];
}

function rowsOf(variant: string, done: number, met: Flips): Row[] {
  const row = (metric: string, unit: string, value: number | undefined): Row[] =>
    value === undefined ? [] : [rowOf(variant, metric, unit, [value])];
  return [
    row('reloads', 'reloads', done),
    row('packets', 'packets', met.count),
    row('switches seen', 'switches', met.switches),
    row('sent while a switch happened', 'packets', met.during),
    row('packets that met a mixture or a gap', 'packets', met.misjudged),
    row('longest mixture', 'ms', met.longestMs),
    row('errors other than the refusal', 'packets', met.errors),
  ].flat();
}

/** The agent follows a list that is replaced as a whole: two lists with nothing in common, in turns. */
async function reloadCgfw(ground: Ground, mode: Mode, size: number): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const netns = await ground.netns('walled');
  const pair = pairOf(size);
  const lists = ([1, 2] as const).map((version) =>
    dataFile(`${String(size)}-flip${String(version)}.netset`, () =>
      [...linesOf4(listOf(size, version)), pair[version - 1], ''].join('\n'),
    ),
  );
  const feed = ground.file('feed.netset');
  const put = (turn: number): void => {
    copyFileSync(lists[turn % 2] ?? '', `${feed}.new`);
    renameSync(`${feed}.new`, feed);
  };
  put(0);
  const file = ground.file('policy.yaml');
  const rule = { action: 'reject', to: 'feed' };
  const policy = {
    name: 'web',
    cgroups: [cgroup],
    log: 'none',
    egress: { default: 'allow', rules: [rule] },
  };
  replace(file, policyText([policy], { sets: { feed: { file: feed } } }));
  const agent = await RunningAgent.start(ground, file);
  const seconds = mode === 'quick' ? 6 : 30;
  const control = join(ground.place.pinRoot, 'shared/control');
  const where = { cgroup: ground.directory(cgroup), netns };
  const [done, met] = await flips(where, control, pair, async () => {
    const end = performance.now() + seconds * 1000;
    let turn = 1;
    for (; performance.now() < end; turn++) await agent.timeToEnforced(() => put(turn));
    return turn - 1;
  });
  await agent.close();
  // Otherwise it is not known which list belongs to which generation.
  if (met.switches !== done)
    throw new Error(`${String(met.switches)} generations for ${String(done)} reloads`);
  if (met.met?.some((each) => each === 0) ?? true) throw new Error('a policy was never met');
  return rowsOf(`cgfw ${count(size)}`, done, met);
}

/** `flush ruleset` and the whole file in one transaction, as the manual advises. */
async function reloadNft(ground: Ground, mode: Mode, size: number): Promise<Row[]> {
  const netns = await ground.netns('walled');
  const cgroup = ground.cgroup('walled');
  const pair = pairOf(size);
  const files = ([1, 2] as const).map((version) => {
    const also = [pair[version - 1] ?? ''];
    const file = ground.file(`${String(version)}.nft`);
    replace(
      file,
      setRules({ netns, cgroup, cgroupRoot: ground.place.cgroupRoot }, size, { version, also }),
    );
    return file;
  });
  const put = (turn: number): Promise<unknown> =>
    must(['nft', '-f', files[turn % 2] ?? ''], { netns });
  await put(0);
  const times = size === 1_000_000 ? 1 : mode === 'quick' ? 2 : 10;
  const where = { cgroup: ground.directory(cgroup), netns };
  const [done, met] = await flips(where, null, pair, async () => {
    for (let turn = 1; turn <= times; turn++) await put(turn);
    return times;
  });
  return rowsOf(`nft -f ${count(size)}`, done, met);
}

export const reload: Question = {
  name: 'reload',
  asks: 'How many packets meet a mixture of policies, or none, while policies take turns under traffic?',
  trials: (mode): Trial[] => [
    { name: 'cgfw 1 M', timeoutS: 120, run: (ground) => reloadCgfw(ground, mode, 1_000_000) },
    { name: 'cgfw 1 k', timeoutS: 120, run: (ground) => reloadCgfw(ground, mode, 1000) },
    ...[1000, 100_000, 1_000_000]
      .filter((size) => mode === 'full' || size < 1_000_000)
      .map((size) => ({
        name: `nft ${count(size)}`,
        timeoutS: 200,
        run: (ground: Ground) => reloadNft(ground, mode, size),
      })),
  ],
};
