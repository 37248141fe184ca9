// How long a list takes from its file to being enforced, on a machine that has nothing loaded.

import { cgfw, policyText, replace } from '../lib/cgfw.js';
import { dataFile, netsetFile } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { kernelMb, mapMemory } from '../lib/memory.js';
import { must } from '../lib/run.js';
import type { Finished } from '../lib/run.js';
import { count, rowOf } from '../lib/stats.js';
import { restoreText } from '../peers/ipset.js';
import { setRules } from '../peers/nft.js';
import type { Mode, Question, Row, Trial } from '../question.js';

interface Load {
  readonly finished: Finished;
  readonly kernel: number;
}

type Loader = (ground: Ground, size: number) => Promise<Load>;

/** `cgfw apply` of a policy that drops what the list holds, in both directions. */
async function loadCgfw(ground: Ground, size: number): Promise<Load> {
  const cgroup = ground.cgroup('walled');
  const rule = (key: string): object => ({
    default: 'allow',
    rules: [{ action: 'drop', [key]: 'feed' }],
  });
  const policy = { name: 'web', cgroups: [cgroup], egress: rule('to'), ingress: rule('from') };
  const file = ground.file('policy.yaml');
  replace(file, policyText([policy], { sets: { feed: { file: netsetFile(size) } } }));
  const finished = await cgfw(ground, 'apply', file);
  if (finished.code !== 0) throw new Error(finished.stderr);
  return { finished, kernel: mapMemory(ground.place).allMb };
}

async function loadNft(ground: Ground, size: number): Promise<Load> {
  const netns = await ground.netns('walled');
  const cgroup = ground.cgroup('walled');
  const file = ground.file('rules.nft');
  replace(file, setRules({ netns, cgroup, cgroupRoot: ground.place.cgroupRoot }, size));
  const before = kernelMb();
  const finished = await must(['nft', '-f', file], { netns });
  return { finished, kernel: kernelMb() - before };
}

async function loadIpset(ground: Ground, size: number): Promise<Load> {
  const netns = await ground.netns('walled');
  const file = dataFile(`${String(size)}.restore`, () => restoreText('block', size));
  const finished = await must(['ipset', 'restore', '-f', file], { netns });
  const { stdout } = await must(['ipset', 'list', '-terse', 'block'], { netns });
  return { finished, kernel: Number(/Size in memory: (\d+)/.exec(stdout)?.[1] ?? NaN) / 2 ** 20 };
}

const LOADERS: readonly (readonly [name: string, loader: Loader])[] = [
  ['cgfw apply', loadCgfw],
  ['nft -f', loadNft],
  ['ipset restore', loadIpset],
];

function rowsOf(name: string, size: number, { finished, kernel }: Load): Row[] {
  const variant = `${name} ${count(size)}`;
  return [
    rowOf(variant, 'time', 'ms', [finished.wallMs]),
    rowOf(variant, 'peak memory of the tool', 'MB', [finished.peakMb]),
    rowOf(variant, 'kernel memory', 'MB', [kernel]),
  ];
}

export const load: Question = {
  name: 'load',
  asks: 'How long does a list take from its file to being enforced, cold, and what memory?',
  trials: (mode: Mode): Trial[] =>
    [10_000, 100_000, 1_000_000].flatMap((size) =>
      LOADERS.flatMap(([name, loader]) => {
        const isSlow = name === 'nft -f' && size === 1_000_000;
        const times = mode === 'quick' || isSlow ? 1 : 5;
        return Array.from({ length: times }, (_, i) => ({
          name: `${name} ${count(size)}${times > 1 ? ` #${String(i + 1)}` : ''}`,
          timeoutS: 90,
          run: async (ground: Ground) => rowsOf(name, size, await loader(ground, size)),
        }));
      }),
    ),
};
