// How accelerated connections end.

import t from 'tap';
import { close, read, say, skip, Stage } from './acceleration.js';
import type { PuppetSocket } from './puppet.js';
import { until } from './sandbox.js';

const SHUT_WR = 1;
const FIN_WAIT2 = '05';
const CLOSE_WAIT = '08';

t.test('the end of an accelerated connection', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());

  /** Closes one direction, blocks in recv, and is answered when the FIN is long acknowledged. */
  const answerAfterHalfClose = async (near: PuppetSocket, far: PuppetSocket): Promise<unknown> => {
    await near.do('setblocking', 1);
    await near.do('shutdown', SHUT_WR);
    const answer = near.do('recv', 100);
    const port = ((await far.do('getpeername')) as [string, number])[1];
    t.equal(await far.do('recv', 100), '', 'the end is seen');
    await until('the FIN is acknowledged', () => stage.state(port) === FIN_WAIT2);
    await far.do('sendall', { bytes: 'answer' });
    return answer;
  };

  t.test('a blocking recv after a half-close gets the late answer', async (t) => {
    const { near, far } = await stage.connect();
    await say(near, far, 'request');
    t.equal(await answerAfterHalfClose(near, far), 'answer');
    await close(near, far);
  });

  t.test('so it does after a conversation in both directions', async (t) => {
    for (let i = 0; i < 20; i++) {
      const { near, far } = await stage.accelerated();
      t.equal(await answerAfterHalfClose(near, far), 'answer');
      await close(near, far);
    }
  });

  t.test('so it does when the side that accepted closes first', async (t) => {
    const { near, far } = await stage.accelerated();
    const port = await far.port();
    await far.do('setblocking', 1);
    await far.do('shutdown', SHUT_WR);
    const answer = far.do('recv', 100);
    t.equal(await near.do('recv', 100), '');
    await until('the FIN is acknowledged', () => stage.state(port) === FIN_WAIT2);
    await near.do('sendall', { bytes: 'answer' });
    t.equal(await answer, 'answer');
    await close(near, far);
  });

  t.test('what was sent before a half-close is read before its end', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'last words' });
    await near.do('shutdown', SHUT_WR);
    const port = await far.port();
    await until('the FIN has arrived', () => stage.state(port) === CLOSE_WAIT);
    t.equal(await far.do('recv', 4), 'last');
    t.equal(await far.do('recv', 100), ' words');
    t.equal(await far.do('recv', 100), '');
    await far.do('sendall', { bytes: 'and back' });
    t.equal(await near.do('recv', 100), 'and back');
    await close(near, far);
  });

  t.test('both directions are closed and read to their ends', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'one' });
    await far.do('sendall', { bytes: 'uno' });
    await near.do('shutdown', SHUT_WR);
    await far.do('shutdown', SHUT_WR);
    for (const [socket, text] of [
      [near, 'uno'],
      [far, 'one'],
    ] as const) {
      t.equal(await socket.do('recv', 100), text);
      t.equal(await socket.do('recv', 100), '');
    }
    await close(near, far);
  });

  t.test('what was sent before a close is read after it', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'x'.repeat(100_000) });
    await near.do('close');
    t.equal((await read(far, 100_000)).length, 100_000);
    t.equal(await far.do('recv', 1), '');
    await far.do('close');
  });

  t.test('a close with unread redirected bytes is an end, where TCP resets', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'never read' });
    await far.do('close');
    t.equal(await near.try('recv', 1), 'ok');
    await near.do('close');
  });

  t.test('sending on after the other end has closed fails as with TCP', async (t) => {
    const { near, far } = await stage.accelerated();
    await far.do('close');
    t.equal(await near.do('recv', 1), '');
    t.equal(await near.try('send', { bytes: 'x' }), 'ok', 'answered by a reset');
    t.equal(await near.try('send', { bytes: 'x' }), 'EPIPE');
    await near.do('close');
  });

  t.test('an abort is a reset, and what was redirected before it can be read', async (t) => {
    const { near, far } = await stage.accelerated();
    await near.do('sendall', { bytes: 'last words' });
    await near.do('setsockopt', 'SOL_SOCKET', 'SO_LINGER', { bytes: '\x01\0\0\0\0\0\0\0' });
    await near.do('close');
    t.equal(await far.do('recv', 100), 'last words');
    t.equal(await far.try('recv', 100), 'ECONNRESET');
    await far.do('close');
  });

  await stage.isQuiet();
});
