// Accelerated byte streams of random shapes arrive whole, whatever calls move them.

import t from 'tap';
import { skip, Stage } from './acceleration.js';

interface Totals {
  readonly connections: number;
  readonly bytes: number;
  readonly wrong: readonly string[];
}

const CONNECTIONS = 200;
const HALF_CLOSES = 1000;
const PARALLEL = 16;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`streams over ${address} arrive whole and in order`, { skip }, async (t) => {
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
      t.ok(totals.bytes > 1 << 20);
    }
    const { redirected, messages } = await stage.counts();
    t.ok(redirected > CONNECTIONS, `${redirected} directions were redirected`);
    t.ok(messages > redirected);
    await stage.isQuiet();
  });
}

t.test(
  'nothing is lost when one direction is closed while the other is busy',
  { skip },
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
