// Accelerated byte streams of random shapes arrive whole, whatever calls move them.

import t from 'tap';
import { skip } from './acceleration.js';
import { closeHalves, exchangeStreams } from './streams.js';

const CONNECTIONS = 200;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`streams over ${address} arrive whole and in order`, { skip }, async (t) => {
    const { totals, stage } = await exchangeStreams(t, address, CONNECTIONS, 16);
    for (const { bytes } of totals) t.ok(bytes > 1 << 20);
    const { redirected, messages } = await stage.counts();
    t.ok(redirected > CONNECTIONS, `${redirected} directions were redirected`);
    t.ok(messages > redirected);
    await stage.isQuiet();
  });
}

t.test(
  'nothing is lost when one direction is closed while the other is busy',
  { skip },
  async (t) => closeHalves(t, 1000),
);
