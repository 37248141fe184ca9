// Accelerated byte streams of random shapes arrive whole, whatever calls move them.

import { join } from 'node:path';
import t from 'tap';
import { skip, Stage } from './acceleration.js';
import { Program } from './program.js';

interface Totals {
  readonly connections: number;
  readonly bytes: number;
  readonly wrong: readonly string[];
}

const CONNECTIONS = 200;
const PARALLEL = 16;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`streams over ${address} arrive whole and in order`, { skip }, async (t) => {
    const stage = new Stage();
    t.teardown(() => stage.close());
    await stage.box.apply(stage.policy());
    const seed = process.env['CGFW_SEED'] ?? String(Date.now());
    t.comment(`CGFW_SEED=${seed}`);
    const run = (cgroup: string, ...argv: readonly (string | number)[]): Program => {
      const place = { cgroup: join(stage.box.place.cgroupRoot, cgroup), netns: stage.netns.name };
      const program = Program.start(place, 'streams.py', ...argv.map(String));
      t.teardown(() => program.end());
      return program;
    };
    const server = run(stage.server, 'serve', address, seed, CONNECTIONS);
    const { port } = await server.line<{ port: number }>();
    const client = run(stage.client, 'connect', address, port, seed, CONNECTIONS, PARALLEL);
    for (const program of [client, server]) {
      const totals = await program.line<Totals>();
      t.match(totals, { connections: CONNECTIONS, wrong: [] });
      t.ok(totals.bytes > 1 << 20);
    }
    const { redirected, messages } = await stage.counts();
    t.ok(redirected > CONNECTIONS, `${redirected} directions were redirected`);
    t.ok(messages > redirected);
    await stage.isQuiet();
  });
}
