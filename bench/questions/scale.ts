// Many cgroups, many policies, and an agent that has nothing to do.

import { existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { linesOf4 } from '../generate.js';
import { apply, cgfw, policyText, replace, RunningAgent } from '../lib/cgfw.js';
import { listOf, netsetFile } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { cpuMs, mapMemory, residentMb } from '../lib/memory.js';
import { rowOf } from '../lib/stats.js';
import { until } from '../lib/wait.js';
import type { Mode, Question, Row, Trial } from '../question.js';

const CGROUPS = 2000;
const RENEWED = 500;
const OWN_PREFIXES = 50;

const smallPolicy = (selector: string, name = 'web'): object => ({
  name,
  cgroups: [selector],
  egress: { default: 'allow', rules: [{ action: 'reject', to: '198.51.100.0/24' }] },
  ingress: { default: 'drop', rules: [{ action: 'allow', from: 'any', ports: ['443/tcp'] }] },
});

function makeCgroups(ground: Ground): string[] {
  return Array.from({ length: CGROUPS }, (_, i) => ground.cgroup(`svc-${String(i)}`));
}

/** Removes and makes again: they are other cgroups then, with nothing attached. */
function renew(ground: Ground, paths: readonly string[]): void {
  for (const path of paths) rmdirSync(ground.directory(path));
  for (const path of paths) mkdirSync(ground.directory(path));
}

function areAttached(ground: Ground, paths: readonly string[]): boolean {
  const links = join(ground.place.pinRoot, 'links');
  return paths.every((path) =>
    existsSync(join(links, `${String(statSync(ground.directory(path)).ino)}-ingress`)),
  );
}

async function attachMany(ground: Ground): Promise<Row[]> {
  const paths = makeCgroups(ground);
  const file = ground.file('policy.yaml');
  const text = policyText([smallPolicy(`${ground.name}/svc-*`)]);
  const first = await apply(ground, text);
  const rows = [rowOf('2,000 cgroups', 'apply, nothing loaded', 'ms', [first.wallMs])];
  if (!areAttached(ground, paths)) throw new Error('not every cgroup is attached');
  const renewed = paths.slice(0, RENEWED);
  renew(ground, renewed);
  const again = await cgfw(ground, 'apply', file);
  if (again.code !== 0 || !areAttached(ground, renewed))
    throw new Error(`not in step again: ${again.stderr}`);
  rows.push(rowOf('2,000 cgroups', 'apply after 500 were made anew', 'ms', [again.wallMs]));
  const agent = await RunningAgent.start(ground, file, -1);
  await delay(2000);
  renew(ground, paths.slice(RENEWED, 2 * RENEWED));
  const startMs = performance.now();
  await until(
    'the agent has attached 500 new cgroups',
    () => areAttached(ground, paths.slice(RENEWED, 2 * RENEWED)),
    60_000,
    10,
  );
  rows.push(
    rowOf('2,000 cgroups', 'running agent, from 500 made anew to attached', 'ms', [
      performance.now() - startMs,
    ]),
  );
  rows.push(rowOf('2,000 cgroups', 'resident memory of the agent', 'MB', [residentMb(agent.pid)]));
  await agent.close();
  const down = await cgfw(ground, 'down');
  rows.push(rowOf('2,000 cgroups', 'down', 'ms', [down.wallMs]));
  return rows;
}

/** What an agent takes while nothing happens. */
async function atRest(ground: Ground, mode: Mode, prefixes: number): Promise<Row[]> {
  const cgroup = ground.cgroup('web');
  const file = ground.file('policy.yaml');
  const egress = { default: 'allow', rules: [{ action: 'reject', to: 'feed' }] };
  replace(
    file,
    prefixes === 0
      ? policyText([smallPolicy(cgroup)])
      : policyText([{ name: 'web', cgroups: [cgroup], egress }], {
          sets: { feed: { file: netsetFile(prefixes) } },
        }),
  );
  const agent = await RunningAgent.start(ground, file);
  await delay(mode === 'quick' ? 2000 : 10_000);
  const seconds = mode === 'quick' ? 5 : 30;
  const before = cpuMs(agent.pid);
  await delay(seconds * 1000);
  const used = cpuMs(agent.pid) - before;
  const variant = `agent with ${prefixes === 0 ? 'a small policy' : '1 M prefixes'}`;
  const rows = [
    rowOf(variant, 'CPU at rest', '%', [used / (seconds * 10)]),
    rowOf(variant, 'resident memory at rest', 'MB', [residentMb(agent.pid)]),
  ];
  await agent.close();
  return rows;
}

/** Policies that share a large list and each have a small one of their own. */
async function manyPolicies(ground: Ground, policies: number): Promise<Row[]> {
  for (let i = 0; i < CGROUPS; i++) ground.cgroup(`p${String(i % policies)}-${String(i)}`);
  const own = linesOf4(listOf(policies * OWN_PREFIXES, 2));
  const all = Array.from({ length: policies }, (_, i) => ({
    name: `p${String(i)}`,
    cgroups: [`${ground.name}/p${String(i)}-*`],
    egress: {
      default: 'allow',
      rules: [
        { action: 'drop', to: 'feed' },
        { action: 'reject', to: own.slice(i * OWN_PREFIXES, (i + 1) * OWN_PREFIXES) },
      ],
    },
  }));
  const finished = await apply(
    ground,
    policyText(all, { sets: { feed: { file: netsetFile(100_000) } } }),
  );
  const memory = mapMemory(ground.place);
  const variant = `${String(policies)} policies, 50 prefixes each and 100 k shared`;
  return [
    rowOf(variant, 'apply, nothing loaded', 'ms', [finished.wallMs]),
    rowOf(variant, 'peak memory of the tool', 'MB', [finished.peakMb]),
    rowOf(variant, 'tables in the kernel, both slots', 'MB', [memory.tablesMb]),
    rowOf(variant, 'all maps in the kernel', 'MB', [memory.allMb]),
  ];
}

export const scale: Question = {
  name: 'scale',
  asks: 'What do 2,000 cgroups, 200 policies, and an agent at rest take?',
  trials: (mode): Trial[] => [
    { name: '2,000 cgroups', timeoutS: 180, run: attachMany },
    { name: '1 policy', timeoutS: 120, run: (ground) => manyPolicies(ground, 1) },
    { name: '200 policies', timeoutS: 120, run: (ground) => manyPolicies(ground, 200) },
    { name: 'at rest, small', timeoutS: 120, run: (ground) => atRest(ground, mode, 0) },
    { name: 'at rest, 1 M', timeoutS: 120, run: (ground) => atRest(ground, mode, 1_000_000) },
  ],
};
