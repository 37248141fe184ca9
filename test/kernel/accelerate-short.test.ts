// Thousands of short connections at once, and what is left of them.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openAccelerationMaps } from '../../src/kernel/acceleration.js';
import { skip, Stage } from './acceleration.js';
import { Program } from './program.js';
import { until } from './sandbox.js';

const CONNECTIONS = 3000;
const PARALLEL = 32;
const ENDS = 32_768;

t.test('short connections', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const { place } = stage.box;
  const run = (cgroup: string, ...argv: readonly (string | number)[]): Program => {
    const at = { cgroup: join(place.cgroupRoot, cgroup), netns: stage.netns.name };
    const program = Program.start(at, 'short.py', ...argv.map(String));
    t.teardown(() => program.end());
    return program;
  };
  const server = run(stage.server, 'serve', CONNECTIONS);
  const { port } = await server.line<{ port: number }>();
  const client = run(stage.client, 'connect', port, CONNECTIONS, PARALLEL);
  t.same(await client.line(), { answers: CONNECTIONS, wrong: [] });
  t.same(await server.line(), { answers: CONNECTIONS, wrong: [] });
  const { redirected, messages } = await stage.counts();
  t.equal(redirected, 2 * CONNECTIONS, 'each direction of each was redirected');
  t.equal(messages, 2 * CONNECTIONS);
  await stage.isQuiet();

  const maps = openAccelerationMaps(place.pinRoot)!;
  await until('no socket is left in the table', () => [...maps.sockets.keys()].length === 0);
  t.ok([...maps.ends.keys()].length <= ENDS, 'what ends say of themselves has a bound');

  t.equal((await stage.box.cgfw('down')).code, 0);
  t.notOk(existsSync(join(place.pinRoot, 'shared')));
});
