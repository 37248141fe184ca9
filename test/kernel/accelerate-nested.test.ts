// Which of several policies on the way to the root accelerates, and that all are obeyed.

import t from 'tap';
import type { Test } from 'tap';
import { close, read, say, skip, Stage } from './acceleration.js';
import type { Pair } from './acceleration.js';
import { policyText } from './traffic.js';

const DENY = { egress: { default: 'allow', rules: [{ action: 'drop', to: '127.0.0.1' }] } };
const REFUSE = { ingress: { default: 'allow', rules: [{ action: 'drop', from: '127.0.0.1' }] } };

t.test('acceleration and nested policies', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  const slice = stage.box.cgroup('slice');
  const service = stage.box.cgroup('slice/service');
  const worker = stage.box.puppet(service, stage.netns.name);
  const above = (more: object = {}): object => ({ name: 'above', cgroups: [slice], ...more });
  const below = (more: object = {}): object => ({ name: 'below', cgroups: [service], ...more });
  const other = { name: 'other', cgroups: [stage.server], accelerate: true };
  const accelerate = { accelerate: true };
  const apply = (...policies: readonly object[]): Promise<void> =>
    stage.box.apply(policyText([...policies, other]));
  const connect = (): Promise<Pair> => stage.connect('127.0.0.1', worker);

  const isRedirected = async (): Promise<boolean> => {
    const { near, far } = await connect();
    const { redirected = 0 } = await stage.added(async () => {
      await say(near, far, 'to the server');
      await say(far, near, 'and back');
    });
    await close(near, far);
    return redirected === 2;
  };

  for (const [name, policies, isExpected] of [
    ['the nearest accelerates, one above does not', [above(), below(accelerate)], true],
    ['the nearest does not, one above does', [above(accelerate), below()], false],
    ['both do', [above(accelerate), below(accelerate)], true],
    ['only a cgroup above has a policy', [above(accelerate)], true],
  ] as const) {
    t.test(`${name}: ${isExpected ? 'redirected' : 'TCP'}`, async (t) => {
      await apply(...policies);
      t.equal(await isRedirected(), isExpected);
    });
  }

  /** Accelerated under the first policies; what the second ones do to it, until the third. */
  const change = async (
    t: Test,
    first: readonly object[],
    second: readonly object[],
    reason: string,
  ): Promise<void> => {
    await apply(...first);
    const { near, far } = await connect();
    t.equal(await say(near, far, 'allowed'), 'allowed');
    t.equal(await say(far, near, 'back'), 'back');
    await near.do('sendall', { bytes: 'under way ' });
    await apply(...second);
    const added = await stage.added(() => near.do('sendall', { bytes: 'then' }));
    t.same(added, { [reason]: 1 });
    t.equal(await read(far, 10), 'under way ', 'what was under way arrives');
    if (reason === 'denied') {
      t.equal(await far.do('readable', 0.3), false, 'nothing more does');
      await apply(...first);
    }
    t.equal(await read(far, 4), 'then');
    t.equal(await say(far, near, 'back'), 'back');
    await close(near, far);
  };

  t.test('a rule of a cgroup above stops what is redirected', (t) =>
    change(t, [above(), below(accelerate)], [above(DENY), below(accelerate)], 'denied'),
  );
  t.test('so does a policy that comes later, above', (t) =>
    change(t, [below(accelerate)], [above(DENY), below(accelerate)], 'denied'),
  );
  t.test('so does a policy that comes later, below', (t) =>
    change(
      t,
      [above(accelerate)],
      [above(accelerate), below({ ...accelerate, ...DENY })],
      'denied',
    ),
  );
  t.test('a policy below that does not accelerate sends it back to TCP', (t) =>
    change(t, [above(accelerate)], [above(accelerate), below()], 'off'),
  );
  t.test('a policy that goes away sends it back to TCP', (t) =>
    change(t, [below(accelerate)], [], 'off'),
  );
  t.test('a policy that goes away below one that accelerates changes nothing', async (t) => {
    await apply(above(accelerate), below(accelerate));
    const { near, far } = await connect();
    await say(near, far, 'before');
    await apply(above(accelerate));
    const added = await stage.added(async () => {
      t.equal(await say(near, far, 'after'), 'after');
    });
    t.same(added, { messages: 1, bytes: 5 });
    await close(near, far);
  });
  t.test('the other end of a connection is judged as well', async (t) => {
    await apply(above(accelerate));
    const { near, far } = await connect();
    await say(near, far, 'before');
    await stage.box.apply(policyText([above(accelerate), { ...other, ...REFUSE }]));
    const added = await stage.added(() => near.do('sendall', { bytes: 'after' }));
    t.same(added, { denied: 1 });
    t.equal(await far.do('readable', 0.3), false);
    await apply(above(accelerate));
    t.equal(await far.do('recv', 10), 'after');
    await close(near, far);
  });
});
