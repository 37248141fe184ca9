// Bytes that are sent while a connection is being made stay the first ones.

import t from 'tap';
import { close, read, say, skip, Stage } from './acceleration.js';

const MSG_FASTOPEN = 0x20000000;
const TCP_DEFER_ACCEPT = 9;
const TCP_FASTOPEN = 23;
const TCP_FASTOPEN_CONNECT = 30;
const ROUNDS = 20;

t.test('sending while connecting', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  stage.netns.sysctl('net/ipv4/tcp_fastopen', '3');
  await stage.box.apply(stage.policy());
  const { inner } = stage;

  t.test('Fast Open: what came with the SYN comes first, and all by TCP', async (t) => {
    const listener = await stage.listen();
    await listener.do('setsockopt', 'IPPROTO_TCP', TCP_FASTOPEN, 16);
    const address = ['127.0.0.1', await listener.port()] as const;
    const added = await stage.added(async () => {
      for (let i = 0; i < ROUNDS; i++) {
        const near = await inner.socket();
        await near.do('setblocking', 1);
        await near.do('sendto', { bytes: 'one ' }, MSG_FASTOPEN, address);
        await near.do('sendall', { bytes: 'two ' });
        const far = await listener.accept();
        await far.do('sendall', { bytes: 'uno ' });
        await near.do('sendall', { bytes: 'three' });
        await far.do('sendall', { bytes: 'due' });
        t.equal(await read(far, 13), 'one two three');
        t.equal(await read(near, 7), 'uno due');
        await close(near, far);
      }
    });
    // The first one asks for a cookie: its SYN carries no byte.
    t.ok(added['data']! >= ROUNDS - 1, `data ${String(added['data'])}`);
    t.ok((added['redirected'] ?? 0) <= 2);
    await close(listener);
  });

  t.test('Fast Open by TCP_FASTOPEN_CONNECT', async (t) => {
    const listener = await stage.listen();
    await listener.do('setsockopt', 'IPPROTO_TCP', TCP_FASTOPEN, 16);
    for (let i = 0; i < ROUNDS; i++) {
      const near = await inner.socket();
      await near.do('setsockopt', 'IPPROTO_TCP', TCP_FASTOPEN_CONNECT, 1);
      await near.do('connect', ['127.0.0.1', await listener.port()]);
      await near.do('sendall', { bytes: 'one ' });
      await near.do('sendall', { bytes: 'two' });
      const far = await listener.accept();
      t.equal(await read(far, 7), 'one two');
      t.equal(await say(far, near, 'back'), 'back');
      await close(near, far);
    }
    await close(listener);
  });

  t.test('a send right after a connect that does not wait', async (t) => {
    const listener = await stage.listen();
    const address = ['127.0.0.1', await listener.port()] as const;
    for (let i = 0; i < ROUNDS; i++) {
      const near = await inner.socket();
      await near.do('quickly', address, { bytes: 'one ' }, { bytes: 'two ' }, { bytes: 'three' });
      const far = await listener.accept();
      t.equal(await read(far, 13), 'one two three');
      t.equal(await say(far, near, 'back'), 'back');
      await close(near, far);
    }
    await close(listener);
  });

  t.test('a send by another thread, which waits for the connection', async (t) => {
    const listener = await stage.listen();
    const address = ['127.0.0.1', await listener.port()] as const;
    for (let i = 0; i < ROUNDS; i++) {
      const near = await inner.socket();
      const sending = near.do('send_while_connecting', address, { bytes: 'one two ' });
      const far = await listener.accept();
      await sending;
      await near.do('sendall', { bytes: 'three' });
      t.equal(await read(far, 13), 'one two three');
      t.equal(await say(far, near, 'back'), 'back');
      await close(near, far);
    }
    await close(listener);
  });

  t.test('TCP_DEFER_ACCEPT: the client is connected before the server', async (t) => {
    const listener = await stage.listen();
    await listener.do('setsockopt', 'IPPROTO_TCP', TCP_DEFER_ACCEPT, 5);
    const added = await stage.added(async () => {
      for (let i = 0; i < ROUNDS; i++) {
        const near = await inner.socket();
        await near.do('connect', ['127.0.0.1', await listener.port()]);
        await near.do('sendall', { bytes: 'one ' });
        await near.do('sendall', { bytes: 'two' });
        const far = await listener.accept();
        t.equal(await read(far, 7), 'one two');
        t.equal(await say(far, near, 'back'), 'back');
        await close(near, far);
      }
    });
    t.equal(added['noPeer'], ROUNDS, 'nobody was there when the client sent');
    t.notOk(added['redirected']);
    await close(listener);
  });

  t.test('a connection to itself', async (t) => {
    const near = await inner.socket();
    await near.do('bind', ['127.0.0.1', 0]);
    await near.do('connect', ['127.0.0.1', await near.port()]);
    t.equal(await say(near, near, 'to myself'), 'to myself');
    await near.do('shutdown', 1);
    t.equal(await near.do('recv', 1), '');
    await close(near);
  });

  await stage.isQuiet();
});
