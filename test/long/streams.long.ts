// Ten thousand connections of random shapes, every byte compared at both ends.

import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';

interface Totals {
  readonly connections: number;
  readonly bytes: number;
  readonly again: number;
  readonly wrong: readonly string[];
}

const CONNECTIONS = 5000;
const HALF_CLOSES = 10_000;
const PARALLEL = 24;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`${CONNECTIONS} streams over ${address}`, { skip, timeout: 900_000 }, async (t) => {
    const stage = new Stage();
    t.teardown(() => stage.close());
    await stage.box.apply(stage.policy());
    const seed = process.env['CGFW_SEED'] ?? String(Date.now());
    t.comment(`CGFW_SEED=${seed}`);
    const server = stage.program(stage.server, 'streams.py', 'serve', address, seed, CONNECTIONS);
    const { port } = await server.line<{ port: number }>();
    const client = stage.program(
      stage.client,
      'streams.py',
      'connect',
      address,
      port,
      seed,
      CONNECTIONS,
      PARALLEL,
    );
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

t.test(
  'nothing is lost when one direction is closed while the other is busy',
  { skip, timeout: 300_000 },
  async (t) => {
    const stage = new Stage();
    t.teardown(() => stage.close());
    await stage.box.apply(stage.policy());
    const seed = process.env['CGFW_SEED'] ?? String(Date.now());
    t.comment(`CGFW_SEED=${seed}`);
    const server = stage.program(stage.server, 'halfclose.py', 'serve', seed, HALF_CLOSES);
    const { port } = await server.line<{ port: number }>();
    const client = stage.program(
      stage.client,
      'halfclose.py',
      'connect',
      port,
      seed,
      HALF_CLOSES,
      6,
    );
    for (const program of [client, server])
      t.same(await program.line(), { connections: HALF_CLOSES, wrong: [] });
    t.ok((await stage.counts()).fallbacks['withPeer']! > 0, 'some were busy');
    await stage.isQuiet();
  },
);
