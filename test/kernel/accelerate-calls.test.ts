// What socket calls do on an accelerated connection: where it differs from TCP, the
// difference is stated here as it is.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { close, read, say, skip, Stage } from './acceleration.js';

const MSG_OOB = 1;
const MSG_PEEK = 2;
const MSG_TRUNC = 0x20;
const MSG_WAITALL = 0x100;
const MSG_ZEROCOPY = 0x4000000;
const SO_ZEROCOPY = 60;
const SO_RCVLOWAT = 18;
const TCP_ULP = 31;

/** As Python calls it: the same number. */
const EOPNOTSUPP = 'ENOTSUP';

t.test('calls on an accelerated connection', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());

  t.test('MSG_PEEK leaves the bytes where they are', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'one' });
    await near.do('sendall', { bytes: 'two' });
    t.equal(await far.do('recv', 2, MSG_PEEK), 'on');
    t.equal(await far.do('recv', 100, MSG_PEEK), 'onetwo');
    t.equal(await far.do('recv', 100), 'onetwo');
    await far.do('setblocking', 0);
    t.equal(await far.try('recv', 1), 'EAGAIN');
    await close(near, far);
  });

  t.test('MSG_WAITALL gives what is there, at least one byte', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'half' });
    t.equal(await far.do('recv', 8, MSG_WAITALL), 'half', 'TCP would wait for 8 bytes');
    await close(near, far);
  });

  t.test('MSG_TRUNC', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'discarded' });
    t.equal(await far.do('recv', 4, MSG_TRUNC), 'disc', 'TCP would discard them unseen');
    t.equal(await far.do('recv', 100), 'arded');
    await close(near, far);
  });

  t.test('sendfile is redirected', async (t) => {
    const { near, far } = await stage.accelerated();
    const text = 'file '.repeat(20_000);
    const added = await stage.added(async () => {
      const sent = (await near.do('sendfile', { bytes: text })) as number;
      t.equal(await read(far, sent), text.slice(0, sent));
      t.ok(sent > 0);
    });
    t.ok(added['messages']! > 0);
    await close(near, far);
  });

  t.test('splice into the socket is redirected', async (t) => {
    const { near, far } = await stage.accelerated();
    const added = await stage.added(async () => {
      t.equal(await near.do('splice_to', { bytes: 'x'.repeat(30_000) }), 30_000);
      t.equal(await read(far, 30_000), 'x'.repeat(30_000));
    });
    t.equal(added['bytes'], 30_000);
    await close(near, far);
  });

  t.test('splice out of the socket does not see what was redirected', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'unseen' });
    await far.do('setblocking', 0);
    t.equal(await far.try('splice_from', 100), 'EAGAIN');
    t.equal(await far.do('recv', 100), 'unseen', 'recv does');
    await near.do('sendall', { bytes: 'unseen' });
    await near.do('close');
    t.equal(await far.do('splice_from', 100), '', 'after the end it says end');
    t.equal(await far.do('recv', 100), 'unseen');
    await far.do('close');
  });

  t.test('SO_ZEROCOPY before the connection keeps it with TCP, completions come', async (t) => {
    const listener = await stage.listen();
    const near = await stage.inner.socket();
    await near.do('setsockopt', 'SOL_SOCKET', SO_ZEROCOPY, 1);
    const added = await stage.added(async () => {
      await near.do('connect', ['127.0.0.1', await listener.port()]);
      const far = await listener.accept();
      t.equal(await near.do('send', { bytes: 'x'.repeat(10_000) }, MSG_ZEROCOPY), 10_000);
      t.equal(await read(far, 10_000), 'x'.repeat(10_000));
      t.equal(await near.do('completion'), 'done');
      t.equal(await say(far, near, 'and back'), 'and back');
      await close(near, far);
    });
    t.notOk(added['redirected']);
    await listener.do('close');
  });

  t.test('SO_ZEROCOPY and TCP_ULP are refused on an accelerated socket', async (t) => {
    const { near, far } = await stage.accelerated();
    for (const socket of [near, far]) {
      t.equal(await socket.try('setsockopt', 'SOL_SOCKET', SO_ZEROCOPY, 1), EOPNOTSUPP);
      t.equal(await socket.try('setsockopt', 'IPPROTO_TCP', TCP_ULP, { bytes: 'tls' }), EOPNOTSUPP);
      t.equal(await socket.try('setsockopt', 'IPPROTO_TCP', 'TCP_NODELAY', 1), 'ok');
    }
    t.equal(await say(near, far, 'still here'), 'still here');
    await close(near, far);
  });

  t.test('MSG_OOB is an ordinary byte of the stream', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'ab' });
    await near.do('send', { bytes: '!' }, MSG_OOB);
    await near.do('sendall', { bytes: 'cd' });
    t.equal(await far.do('recv', 1, MSG_OOB), 'a', 'so is what this takes; TCP would give !');
    t.equal(await read(far, 4), 'b!cd');
    await close(near, far);
  });

  const counts = readFileSync('/proc/kallsyms', 'utf8').includes(' tcp_bpf_ioctl');
  const old = counts ? false : 'needs tcp_bpf_ioctl, which counts what was redirected';
  t.test('FIONREAD counts what was redirected', { skip: old }, async (t) => {
    const { near, far } = await stage.accelerated();
    t.equal(await far.do('queued'), 0);
    await near.do('sendall', { bytes: 'x'.repeat(1000) });
    t.equal(await far.do('queued'), 1000);
    await near.do('sendall', { bytes: 'x'.repeat(1000) });
    await far.do('recv', 500);
    t.equal(await far.do('queued'), 1500);
    await close(near, far);
  });

  t.test('SO_RCVLOWAT does not hold bytes back', async (t) => {
    const { near, far } = await stage.accelerated();
    await far.do('setsockopt', 'SOL_SOCKET', SO_RCVLOWAT, 100);
    await near.do('sendall', { bytes: 'few' });
    t.equal(await far.do('readable', 0), true, 'TCP would wait for 100 bytes');
    t.equal(await far.do('recv', 100), 'few');
    await close(near, far);
  });

  t.test('SO_RCVTIMEO ends a recv with EAGAIN', async (t) => {
    const { near, far } = await stage.accelerated();
    await far.do('setblocking', 1);
    const timeval = { bytes: '\0\0\0\0\0\0\0\0\x10\x27\0\0\0\0\0\0' };
    await far.do('setsockopt', 'SOL_SOCKET', 'SO_RCVTIMEO', timeval);
    t.equal(await far.try('recv', 100), 'EAGAIN');
    t.equal(await say(near, far, 'in time'), 'in time');
    await close(near, far);
  });

  for (const [kind, flags] of [
    ['level', []],
    ['edge', ['EPOLLET']],
  ] as const) {
    t.test(`epoll wakes up, ${kind}-triggered`, async (t) => {
      const { near, far } = await stage.accelerated();
      await far.do('watch', 'EPOLLIN', 'EPOLLRDHUP', ...flags);
      t.same(await far.do('events', 0), []);
      for (const text of ['first', 'second']) {
        await near.do('sendall', { bytes: text });
        t.same(await far.do('events', 2), ['EPOLLIN']);
        t.same(await far.do('events', 0), kind === 'level' ? ['EPOLLIN'] : []);
        t.equal(await far.do('recv', 2), text.slice(0, 2));
        t.equal(await far.do('recv', 100), text.slice(2));
        t.same(await far.do('events', 0), []);
      }
      const waiting = far.do('events', 2);
      await near.do('sendall', { bytes: 'third' });
      t.same(await waiting, ['EPOLLIN'], 'and so does one that waits');
      await near.do('sendall', { bytes: 'fourth' });
      t.same(await far.do('events', 2), ['EPOLLIN'], 'a second message is a second edge');
      await near.do('shutdown', 1);
      t.same(await far.do('events', 2), ['EPOLLIN', 'EPOLLRDHUP']);
      t.equal(await read(far, 11), 'thirdfourth');
      t.equal(await far.do('recv', 1), '');
      await close(near, far);
    });
  }

  t.test('a socket can always be written to', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('watch', 'EPOLLOUT', 'EPOLLET');
    t.same(await near.do('events', 2), ['EPOLLOUT']);
    await close(near, far);
  });

  t.test('two tasks send on one socket without a loss', async (t) => {
    const { near, far } = await stage.accelerated();
    const totals = await stage.added(async () => {
      t.equal(await near.do('together', 4, 500, 3000), 4);
      t.same(await far.do('tally', 4 * 500 * 3000, 3000), [500, 500, 500, 500]);
    });
    t.ok(totals['messages']! > 0);
    await close(near, far);
  });
});
