// What a policy that accelerates becomes on a kernel that can, and on one that cannot.

import t from 'tap';
import { isUnaccelerated } from '../../src/agent/unaccelerated.js';
import { compile } from '../../src/compile/compile.js';
import { desire } from '../../src/compile/desire.js';
import { BASE_HOOKS, HOOKS, NOTHING } from '../../src/compile/state.js';
import type { State } from '../../src/compile/state.js';
import { cgroupPolicy, policyOf } from '../compile/build.js';

function desired(accelerate: boolean, canAccelerate: () => boolean): State {
  const policies = [cgroupPolicy('web', { accelerate }), cgroupPolicy('db', { cgroups: ['db'] })];
  const cgroups = [
    { id: 1, path: 'demo' },
    { id: 2, path: 'db' },
  ];
  const program = compile(policyOf([], policies), new Map());
  return desire(program, { cgroups, interfaces: [], build: 'ab', canAccelerate }, NOTHING);
}

const hooksOf = ({ attachments }: State) =>
  Object.fromEntries(attachments.map(({ path, hooks }) => [path, hooks]));

t.test('a kernel that can accelerates the cgroups that ask for it, and no others', async (t) => {
  const state = desired(true, () => true);
  t.same(hooksOf(state), { demo: HOOKS, db: BASE_HOOKS });
  t.equal(isUnaccelerated(state), false);
});

t.test('a kernel that cannot enforces the same policy without, and that is said', async (t) => {
  const state = desired(true, () => false);
  t.same(hooksOf(state), { demo: BASE_HOOKS, db: BASE_HOOKS });
  t.equal(isUnaccelerated(state), true);
});

t.test('where no policy asks, the kernel is not asked either', async (t) => {
  const state = desired(false, () => t.fail('nobody wants to know'));
  t.same(hooksOf(state), { demo: BASE_HOOKS, db: BASE_HOOKS });
  t.equal(isUnaccelerated(state), false);
});
