// Ten thousand connections of random shapes, every byte compared at both ends.

import { join } from 'node:path';
import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';
import { Program } from '../kernel/program.js';

interface Totals {
  readonly connections: number;
  readonly bytes: number;
  readonly again: number;
  readonly wrong: readonly string[];
}

const CONNECTIONS = 5000;
const PARALLEL = 24;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`${CONNECTIONS} streams over ${address}`, { skip, timeout: 900_000 }, async (t) => {
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
      t.comment(`${totals.bytes} bytes, ${totals.again} times EAGAIN after a half-close`);
    }
    const { redirected, messages, bytes, fallbacks } = await stage.counts();
    t.ok(redirected > 1.5 * CONNECTIONS, `${redirected} directions were redirected`);
    t.comment({ redirected, messages, bytes, fallbacks });
    await stage.isQuiet();
  });
}
