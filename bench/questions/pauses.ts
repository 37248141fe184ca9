// How long the agent's main thread stands still: events, signals and watches wait for that long.

import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { linesOf4, outside4, textOf4 } from '../generate.js';
import { policyText, replace, RunningAgent } from '../lib/cgfw.js';
import { listOf, netsetFile, SEED } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { rowOf } from '../lib/stats.js';
import { until } from '../lib/wait.js';
import type { Question, Row, Trial } from '../question.js';

const CGROUPS = 2000;
const RENEWED = 500;
const RULES = 10_000;
const POLICIES = 200;
/** Until nothing is left to do: what was removed is swept, memory is tidied up. */
const REST_MS = 3000;

/** An agent that says how long it stood still. */
class WatchedAgent {
  readonly #ground: Ground;
  readonly #agent: RunningAgent;
  readonly #variant: string;
  readonly rows: Row[] = [];

  private constructor(ground: Ground, agent: RunningAgent, variant: string) {
    this.#ground = ground;
    this.#agent = agent;
    this.#variant = variant;
  }

  static async start(ground: Ground, file: string, variant: string): Promise<WatchedAgent> {
    const preload = join(import.meta.dirname, '../lib/pause.js');
    const agent = await RunningAgent.start(ground, file, 0, {
      NODE_OPTIONS: `--import=${preload}`,
      CGFW_BENCH_PAUSE: ground.file('pauses'),
    });
    const watched = new WatchedAgent(ground, agent, variant);
    await watched.note('start');
    return watched;
  }

  /** Runs a change that leads to another generation, and notes the pause. */
  async change(what: string, change: () => void): Promise<void> {
    await this.#agent.timeToEnforced(change);
    await this.note(what);
  }

  /** The longest pause since the last note. */
  async note(what: string): Promise<void> {
    await delay(REST_MS);
    const before = this.#told().length;
    process.kill(this.#agent.pid, 'SIGUSR2');
    await until('the agent tells its longest pause', () => this.#told().length > before, 10_000);
    this.rows.push(rowOf(this.#variant, what, 'ms', [Number(this.#told().at(-1))]));
  }

  #told(): string[] {
    const file = this.#ground.file('pauses');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  }

  async close(): Promise<Row[]> {
    await this.#agent.close();
    return this.rows;
  }
}

const policy = (name: string, cgroup: string, rules: readonly object[]): object => ({
  name,
  cgroups: [cgroup],
  egress: { default: 'allow', rules },
});

async function small(ground: Ground): Promise<Row[]> {
  const cgroup = ground.cgroup('web');
  const file = ground.file('policy.yaml');
  const text = (port: number): string =>
    policyText([
      policy('web', cgroup, [{ action: 'reject', to: 'any', ports: [`${String(port)}/tcp`] }]),
    ]);
  replace(file, text(1));
  const agent = await WatchedAgent.start(ground, file, 'small policy');
  await agent.change('an edit', () => replace(file, text(2)));
  return agent.close();
}

async function largeList(ground: Ground): Promise<Row[]> {
  const cgroup = ground.cgroup('web');
  const file = ground.file('policy.yaml');
  const feed = ground.file('feed.netset');
  const size = 1_000_000;
  const other = ground.file('other.netset');
  copyFileSync(netsetFile(size), feed);
  copyFileSync(netsetFile(size, 2), other);
  const rules = [{ action: 'reject', to: 'feed' }];
  const withList = policyText([policy('web', cgroup, rules)], { sets: { feed: { file: feed } } });
  replace(file, withList);
  const agent = await WatchedAgent.start(ground, file, '1 M prefixes');
  const [address = 0] = outside4(SEED + 9, listOf(size), 1);
  copyFileSync(feed, `${feed}.new`);
  appendFileSync(`${feed}.new`, `${textOf4(address)}\n`);
  await agent.change('one line changed', () => renameSync(`${feed}.new`, feed));
  await agent.change('everything replaced', () => renameSync(other, feed));
  await agent.change('the list left out', () =>
    replace(file, policyText([policy('web', cgroup, [])])),
  );
  await agent.change('and back', () => replace(file, withList));
  return agent.close();
}

async function manyRules(ground: Ground): Promise<Row[]> {
  const cgroup = ground.cgroup('web');
  const file = ground.file('policy.yaml');
  const text = (shift: number): string =>
    policyText([
      policy(
        'web',
        cgroup,
        linesOf4(listOf(RULES)).map((to, i) => ({
          action: i % 3 === 0 ? 'drop' : 'allow',
          to,
          ports: [`${String(1000 + ((i * 7 + shift) % 500))}/tcp`],
        })),
      ),
    ]);
  replace(file, text(0));
  const agent = await WatchedAgent.start(ground, file, '10 k rules');
  await agent.change('all of them changed', () => replace(file, text(1)));
  return agent.close();
}

async function manyCgroups(ground: Ground): Promise<Row[]> {
  const paths = Array.from({ length: CGROUPS }, (_, i) => ground.cgroup(`svc-${String(i)}`));
  const file = ground.file('policy.yaml');
  const text = (port: number): string =>
    policyText([
      policy('web', `${ground.name}/svc-*`, [
        { action: 'reject', to: 'any', ports: [`${String(port)}/tcp`] },
      ]),
    ]);
  replace(file, text(1));
  const agent = await WatchedAgent.start(ground, file, '2,000 cgroups');
  for (const path of paths.slice(0, RENEWED)) rmdirSync(ground.directory(path));
  for (const path of paths.slice(0, RENEWED)) mkdirSync(ground.directory(path));
  await agent.note('500 made anew');
  await agent.change('an edit', () => replace(file, text(2)));
  return agent.close();
}

async function manyPolicies(ground: Ground): Promise<Row[]> {
  for (let i = 0; i < CGROUPS; i++) ground.cgroup(`p${String(i % POLICIES)}-${String(i)}`);
  const own = linesOf4(listOf(POLICIES * 50, 2));
  const file = ground.file('policy.yaml');
  const text = (prefixes: number): string =>
    policyText(
      Array.from({ length: POLICIES }, (_, i) =>
        policy(`p${String(i)}`, `${ground.name}/p${String(i)}-*`, [
          { action: 'drop', to: 'feed' },
          { action: 'reject', to: own.slice(i * 50, i * 50 + prefixes) },
        ]),
      ),
      { sets: { feed: { file: netsetFile(100_000) } } },
    );
  replace(file, text(50));
  const agent = await WatchedAgent.start(ground, file, '200 policies');
  await agent.change('an edit', () => replace(file, text(49)));
  return agent.close();
}

const SITUATIONS: readonly (readonly [name: string, run: (ground: Ground) => Promise<Row[]>])[] = [
  ['small policy', small],
  ['1 M prefixes', largeList],
  ['10 k rules', manyRules],
  ['2,000 cgroups', manyCgroups],
  ['200 policies', manyPolicies],
];

export const pauses: Question = {
  name: 'pauses',
  asks: "How long does the agent's main thread stand still at most?",
  trials: (mode): Trial[] =>
    SITUATIONS.flatMap(([name, run]) => {
      const times = mode === 'quick' ? 1 : 5;
      return Array.from({ length: times }, (_, i) => ({
        name: times === 1 ? name : `${name} #${String(i + 1)}`,
        timeoutS: 120,
        run,
      }));
    }),
};
