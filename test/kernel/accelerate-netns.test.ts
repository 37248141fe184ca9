// Acceleration keeps to the network namespace, and works on any address of it.

import t from 'tap';
import { close, say, skip, Stage } from './acceleration.js';
import type { Pair } from './acceleration.js';
import { Netns } from './netns.js';
import type { Puppet } from './puppet.js';

t.test('network namespaces', { skip }, async (t) => {
  const stage = new Stage();
  const second = new Netns();
  t.teardown(async () => {
    await stage.close();
    second.close();
  });
  stage.netns.join(second, ['10.9.8.1/24', 'fd09::1/64'], ['10.9.8.2/24', 'fd09::2/64']);
  stage.netns.ip('link', 'add', 'bridge', 'type', 'bridge');
  stage.netns.addresses(['10.9.7.1/24'], 'bridge');
  stage.netns.ip('link', 'set', 'bridge', 'up');
  await stage.box.apply(stage.policy());
  const { inner, outer, box } = stage;
  const inner2 = box.puppet(stage.client, second.name);
  const outer2 = box.puppet(stage.server, second.name);

  const atPorts = async (from: Puppet, to: Puppet): Promise<Pair> => {
    const listener = await to.socket();
    await listener.do('bind', ['127.0.0.1', 40_000]);
    await listener.do('listen', 1);
    const near = await from.socket();
    await near.do('bind', ['127.0.0.1', 40_001]);
    await near.do('connect', ['127.0.0.1', 40_000]);
    const far = await listener.accept();
    await close(listener);
    return { near, far };
  };

  t.test('the same addresses and ports in two of them: no byte crosses', async (t) => {
    const one = await atPorts(inner, outer);
    const two = await atPorts(inner2, outer2);
    const added = await stage.added(async () => {
      for (let i = 0; i < 10; i++) {
        await one.near.do('sendall', { bytes: `one ${i}` });
        await two.near.do('sendall', { bytes: `two ${i}` });
        await two.far.do('sendall', { bytes: `due ${i}` });
        await one.far.do('sendall', { bytes: `uno ${i}` });
        t.equal(await one.far.do('recv', 100), `one ${i}`);
        t.equal(await two.far.do('recv', 100), `two ${i}`);
        t.equal(await one.near.do('recv', 100), `uno ${i}`);
        t.equal(await two.near.do('recv', 100), `due ${i}`);
      }
    });
    t.same(added, { redirected: 4, messages: 40, bytes: 200 });
    t.equal((await stage.counts()).connections, 2);
    await close(one.near, one.far, two.near, two.far);
  });

  for (const address of ['10.9.8.1', 'fd09::1', '10.9.7.1']) {
    t.test(`an address of an interface of its own is accelerated: ${address}`, async (t) => {
      const { near, far } = await stage.connect(address);
      const added = await stage.added(async () => {
        t.equal(await say(near, far, 'to the server'), 'to the server');
        t.equal(await say(far, near, 'and back'), 'and back');
      });
      t.same(added, { redirected: 2, messages: 2, bytes: 21 });
      await close(near, far);
    });
  }

  for (const address of ['10.9.8.2', 'fd09::2']) {
    t.test(`a connection to another namespace is left to TCP: ${address}`, async (t) => {
      const added = await stage.added(async () => {
        const { near, far } = await stage.connect(address, inner, outer2);
        t.equal(await say(near, far, 'to the server'), 'to the server');
        t.equal(await say(far, near, 'and back'), 'and back');
        await close(near, far);
      });
      t.same(added, {});
    });
  }

  await stage.isQuiet();
});
