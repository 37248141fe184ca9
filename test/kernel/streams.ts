// Connections of random shapes between accelerated cgroups, for the quick and the long suite.

import type { Test } from 'tap';
import { Stage } from './acceleration.js';

export interface Totals {
  readonly connections: number;
  readonly bytes: number;
  /** How often a reader was told EAGAIN after it had closed its own direction. */
  readonly again: number;
  readonly wrong: readonly string[];
}

/** The seed of the environment, or a new one; printed either way. */
function seedOf(t: Test): string {
  const seed = process.env['CGFW_SEED'] ?? String(Date.now());
  t.comment(`CGFW_SEED=${seed}`);
  return seed;
}

async function openStage(t: Test): Promise<Stage> {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  return stage;
}

/** Byte streams in both directions at once, by all kinds of calls; fails for any wrong byte. */
export async function exchangeStreams(
  t: Test,
  address: string,
  connections: number,
  parallel: number,
): Promise<{ readonly totals: readonly Totals[]; readonly stage: Stage }> {
  const stage = await openStage(t);
  const seed = seedOf(t);
  const at = (cgroup: string, ...argv: readonly (string | number)[]) =>
    stage.program(cgroup, 'streams.py', ...argv);
  const server = at(stage.server, 'serve', address, seed, connections);
  const { port } = await server.line<{ port: number }>();
  const client = at(stage.client, 'connect', address, port, seed, connections, parallel);
  const totals: Totals[] = [];
  for (const program of [client, server]) {
    const each = await program.line<Totals>();
    t.match(each, { connections, wrong: [] });
    totals.push(each);
  }
  return { totals, stage };
}

/** One direction is closed while the other is busy; fails for any byte that does not arrive. */
export async function closeHalves(t: Test, connections: number): Promise<void> {
  const stage = await openStage(t);
  const seed = seedOf(t);
  const server = stage.program(stage.server, 'halfclose.py', 'serve', seed, connections);
  const { port } = await server.line<{ port: number }>();
  const argv = ['connect', port, seed, connections, 6];
  const client = stage.program(stage.client, 'halfclose.py', ...argv);
  for (const program of [client, server]) t.same(await program.line(), { connections, wrong: [] });
  t.ok((await stage.counts()).fallbacks['withPeer']! > 0, 'some were busy');
  await stage.isQuiet();
}
