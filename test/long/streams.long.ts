// Ten thousand connections of random shapes, every byte compared at both ends.

import t from 'tap';
import { skip } from '../kernel/acceleration.js';
import { closeHalves, exchangeStreams } from '../kernel/streams.js';

const CONNECTIONS = 5000;

for (const address of ['127.0.0.1', '::1']) {
  t.test(`${CONNECTIONS} streams over ${address}`, { skip, timeout: 900_000 }, async (t) => {
    const { totals, stage } = await exchangeStreams(t, address, CONNECTIONS, 24);
    for (const { bytes, again } of totals)
      t.comment(`${bytes} bytes, ${again} times EAGAIN after a half-close`);
    const { redirected, messages, bytes, fallbacks } = await stage.counts();
    t.ok(redirected > 1.5 * CONNECTIONS, `${redirected} directions were redirected`);
    t.comment({ redirected, messages, bytes, fallbacks });
    await stage.isQuiet();
  });
}

t.test(
  'nothing is lost when one direction is closed while the other is busy',
  { skip, timeout: 300_000 },
  async (t) => closeHalves(t, 10_000),
);
