// How many events reach JavaScript, decoded, with none lost, and what they cost the sender.

import { setTimeout as delay } from 'node:timers/promises';
import { readFaults } from '../../src/kernel/counters.js';
import { streamEvents } from '../../src/kernel/events.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { apply, replace, RunningAgent } from '../lib/cgfw.js';
import { destinationsFile } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { textOf } from '../lib/policies.js';
import { rowOf } from '../lib/stats.js';
import { traffic } from '../lib/traffic.js';
import type { Mode, Question, Row, Trial } from '../question.js';

/** Events a second that the sender is held to, two for each packet; 0 = as fast as it can. */
const RATES = [0, 600_000, 500_000, 400_000, 300_000, 200_000, 100_000, 50_000];

const policy = (cgroup: string, log: 'none' | 'all'): string =>
  textOf([cgroup], { prefixes: 1000, rules: 0, state: 'blocklist', log });

function faults(ground: Ground): { readonly emitted: number; readonly lost: number } {
  const set = openCurrentSet(ground.place.pinRoot);
  if (set === null) throw new Error('nothing is loaded');
  try {
    return readFaults(set);
  } finally {
    set.close();
  }
}

/** From the fastest rate down to the first at which nothing is lost. */
async function deliver(ground: Ground, mode: Mode): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const netns = await ground.netns('walled');
  await apply(ground, policy(cgroup, 'all'));
  const argv = ['udp', '-o', '-s', mode === 'quick' ? '1.5' : '5', '-d', destinationsFile(1000, 1)];
  const where = { cgroup: ground.directory(cgroup), netns, cpu: 0 };
  let seen = 0;
  let untouched = 0;
  let firstMs = 0;
  let lastMs = 0;
  const stream = streamEvents(ground.place, (events) => {
    seen += events.length;
    lastMs = performance.now();
    if (firstMs === 0) firstMs = lastMs;
    for (const event of events) if (event.destinationPort === 0) untouched++;
  });
  const rows: Row[] = [];
  for (const rate of RATES) {
    await delay(300);
    seen = 0;
    const before = faults(ground);
    firstMs = 0;
    const sent = await traffic(where, ...argv, ...(rate === 0 ? [] : ['-r', String(rate / 2)]));
    stream.drain();
    // From the first batch to the last: what the reader needs longer than the sender counts.
    const seconds = (lastMs - firstMs) / 1000;
    const after = faults(ground);
    const lost = after.lost - before.lost;
    const perSecond = seen / seconds;
    const variant = rate === 0 ? 'sender unhindered' : `sender at ${String(rate / 1000)} k/s`;
    rows.push(
      rowOf(variant, 'events delivered and decoded', '1/s', [perSecond]),
      rowOf(variant, 'lost', '%', [(100 * lost) / (lost + seen)]),
      rowOf(variant, 'packets', '1/s', [sent.count / seconds]),
    );
    if (lost > 0) continue;
    rows.push(rowOf('cgfw', 'most events with none lost', '1/s', [perSecond]));
    break;
  }
  stream.close();
  if (untouched > 0) throw new Error('events were decoded wrongly');
  return rows;
}

/** A ring that is filled while nobody reads, then read at one go. */
async function drainRate(ground: Ground, mode: Mode): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const netns = await ground.netns('walled');
  await apply(ground, policy(cgroup, 'all'));
  const samples: number[] = [];
  for (let i = 0; i < (mode === 'quick' ? 3 : 9); i++) {
    let seen = 0;
    await traffic(
      { cgroup: ground.directory(cgroup), netns, cpu: 0 },
      'udp',
      '-o',
      '-s',
      '0.5',
      '-d',
      destinationsFile(1000, 1),
    );
    const stream = streamEvents(ground.place, (events) => (seen += events.length));
    const startMs = performance.now();
    stream.drain();
    samples.push((seen / (performance.now() - startMs)) * 1000);
    stream.close();
  }
  return [rowOf('cgfw', 'events decoded when the ring is full', '1/s', samples)];
}

/** The same traffic with every packet logged and with none, in turns, a reader on the other CPU. */
async function senderCost(ground: Ground, mode: Mode): Promise<Row[]> {
  const netns = await ground.netns('walled');
  const logged = ground.cgroup('logged');
  const quiet = ground.cgroup('quiet');
  const both = JSON.parse(policy(logged, 'all')) as { policies: object[] };
  const other = JSON.parse(policy(quiet, 'none')) as { policies: object[] };
  await apply(
    ground,
    JSON.stringify({
      ...both,
      policies: [...both.policies, { ...other.policies[0], name: 'quiet' }],
    }),
  );
  let seen = 0;
  const stream = streamEvents(ground.place, (events) => (seen += events.length));
  const added: number[] = [];
  for (let pair = 0; pair < (mode === 'quick' ? 7 : 21); pair++) {
    const run = (cgroup: string) =>
      traffic(
        { cgroup: ground.directory(cgroup), netns, cpu: 0 },
        'udp',
        '-s',
        '0.2',
        '-r',
        '150000',
        '-d',
        destinationsFile(1000, 1),
      );
    const [first, second] = pair % 2 === 0 ? [quiet, logged] : [logged, quiet];
    const [a, b] = [await run(first), await run(second)];
    added.push((pair % 2 === 0 ? b.ns - a.ns : a.ns - b.ns) / 2);
  }
  stream.close();
  if (seen === 0) throw new Error('no event came');
  return [rowOf('cgfw', 'cost of a logged packet to its sender, each hook', 'ns', added)];
}

/** The agent names every event and writes a line of log for it: its own pace. */
async function agentPace(ground: Ground, mode: Mode): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const netns = await ground.netns('walled');
  const file = ground.file('policy.yaml');
  replace(file, policy(cgroup, 'all'));
  const agent = await RunningAgent.start(ground, file);
  const rows: Row[] = [];
  for (const rate of [100_000, 50_000, 20_000, 10_000]) {
    const before = faults(ground);
    const seconds = mode === 'quick' ? 2 : 5;
    await traffic(
      { cgroup: ground.directory(cgroup), netns, cpu: 0 },
      ...['udp', '-s', String(seconds), '-r', String(rate / 2), '-d', destinationsFile(1000, 1)],
    );
    await delay(500);
    const after = faults(ground);
    const lost = after.lost - before.lost;
    rows.push(
      rowOf(`agent, ${String(rate / 1000)} k/s`, 'lost', '%', [
        (100 * lost) / (lost + after.emitted - before.emitted),
      ]),
    );
    if (lost === 0) break;
  }
  await agent.close();
  return rows;
}

export const events: Question = {
  name: 'events',
  asks: 'How many events a second reach JavaScript with none lost, and what do they cost the sender?',
  trials: (mode): Trial[] => [
    { name: 'delivery', timeoutS: 90, run: (ground) => deliver(ground, mode) },
    { name: 'a full ring', timeoutS: 60, run: (ground) => drainRate(ground, mode) },
    { name: 'cost to the sender', timeoutS: 90, run: (ground) => senderCost(ground, mode) },
    { name: 'the agent', timeoutS: 90, run: (ground) => agentPace(ground, mode) },
  ],
};
