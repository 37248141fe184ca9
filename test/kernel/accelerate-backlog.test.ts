// A reader that stops reading: redirected bytes know no window, so they need another bound.

import t from 'tap';
import { close, skip, Stage } from './acceleration.js';

const MIB = 1 << 20;
/** BACKLOG_LIMIT of bpf/queue.h. */
const BACKLOG = 16 * MIB;
/** What TCP may queue at both ends, given the limits set below; it counts overhead too. */
const TCP_QUEUES = 6 * MIB;

t.test('a reader that stops reading', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  stage.netns.sysctl('net/ipv4/tcp_rmem', `4096 131072 ${4 * MIB}`);
  stage.netns.sysctl('net/ipv4/tcp_wmem', `4096 65536 ${2 * MIB}`);
  await stage.box.apply(stage.policy());

  for (const size of [1000, 65536, 300_000]) {
    t.test(`holds up a sender of ${size} bytes at a time, and loses nothing`, async (t) => {
      const { near, far } = await stage.accelerated();
      let sent = 0;
      const added = await stage.added(async () => {
        sent = (await near.do('flood', 0, 1 << 30, size)) as number;
      });
      t.comment(`${sent} bytes until it would block`);
      t.equal((added['backlog'] ?? 0) + (added['small'] ?? 0), 1, 'it went back to TCP');
      // TCP may find some more room meanwhile.
      sent = (await near.do('flood', sent, 1 << 30, size)) as number;
      t.ok(sent < BACKLOG + TCP_QUEUES, 'the queues are bounded');
      t.equal(await near.do('writable', 0), false, 'TCP holds the sender up');
      t.equal(await far.do('drain', 0, sent), sent, 'in order');
      const end = sent + 32 * MIB;
      await near.do('pour', sent, end, size);
      t.equal(await far.do('drain', sent, end), end, 'and so is what follows');
      await near.do('join');
      await close(near, far);
    });
  }

  t.test('goes by TCP in both directions afterwards', async (t) => {
    const { near, far } = await stage.accelerated();
    const sent = (await near.do('flood', 0)) as number;
    const added = await stage.added(async () => {
      await far.do('sendall', { bytes: 'back' });
      t.equal(await near.do('recv', 10), 'back');
    });
    t.same(added, { withPeer: 1 });
    t.equal(await far.do('drain', 0, sent), sent);
    await close(near, far);
  });

  t.test('may close: what it did not read is let go', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('flood', 0);
    await far.do('close');
    t.match(await near.try('send', { bytes: 'x' }), /EPIPE|ECONNRESET/);
    await near.do('close');
    await stage.isQuiet();
  });

  t.test(
    'a stream of small messages goes by TCP, unless somebody waits on its socket',
    async (t) => {
      for (const waits of [false, true]) {
        const { near, far } = await stage.accelerated();
        if (waits) await near.do('hear', 10);
        const added = await stage.added(async () => {
          await near.do('pour', 0, 8 * MIB, 1000);
          t.equal(await far.do('drain', 0, 8 * MIB), 8 * MIB);
          await near.do('join');
        });
        t.equal(added['small'], waits ? undefined : 1);
        await far.do('sendall', { bytes: 'answer' });
        t.equal(await near.do(waits ? 'heard' : 'recv', ...(waits ? [] : [10])), 'answer');
        await close(near, far);
      }
    },
  );
});
