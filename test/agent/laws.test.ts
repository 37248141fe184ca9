// Two laws, on the real kernel: a state differs in nothing from itself, and a
// plan carried out makes the kernel what was desired.

import fc from 'fast-check';
import { rmdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { carryOut } from '../../src/agent/carry-out.js';
import { desire } from '../../src/compile/desire.js';
import { compile } from '../../src/compile/compile.js';
import { isLingering, NOTHING } from '../../src/compile/state.js';
import type { State } from '../../src/compile/state.js';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import { listCgroups } from '../../src/kernel/cgroups.js';
import { readState } from '../../src/kernel/read.js';
import { lockWriter } from '../../src/kernel/lock.js';
import { diff, isSameProgram } from '../../src/plan/diff.js';
import type { Policy } from '../../src/policy/policy.js';
import { arbitraryPolicy } from '../compile/arbitrary.js';
import { Sandbox } from '../kernel/sandbox.js';

const SEED = Number(process.env['CGFW_SEED'] ?? Date.now() % 1_000_000);
const KERNEL_STEPS = 100;

const NAMES = ['a', 'b', 'c', 'a/x', 'a/y', 'b/x'] as const;
const SELECTORS = ['a', 'b', 'c', 'a/x', '*', '*/x', '**', 'a/**', 'none'] as const;

/** A policy with selectors below `parent`, and the cgroups that exist. */
const arbitraryStep = fc.record({
  policy: arbitraryPolicy(4),
  selectors: fc.array(
    fc.uniqueArray(fc.constantFrom(...SELECTORS), { minLength: 1, maxLength: 3 }),
    { minLength: 3, maxLength: 3 },
  ),
  cgroups: fc.subarray([...NAMES]),
  interfaces: fc
    .subarray(['eth0', 'eth1', 'veth0'])
    .map((names) => names.map((name, i) => ({ ifindex: i + 1, name, heldBy: null }))),
});

function below(
  parent: string,
  {
    policy,
    selectors,
  }: { readonly policy: Policy; readonly selectors: readonly (readonly string[])[] },
): Policy {
  const policies = policy.policies.map((each, i) => ({
    ...each,
    cgroups: (selectors[i] ?? ['none']).map((selector) => `${parent}/${selector}`),
  }));
  // No interface of this machine is anybody's.
  return {
    ...policy,
    policies,
    interfaces: policy.interfaces.map((each) => ({
      ...each,
      interfaces: each.interfaces.map((name) => `${name}-none`),
    })),
  };
}

t.test(`the diff of a state with itself is empty (seed ${String(SEED)})`, (t) => {
  const arbitraryState = fc
    .record({
      step: arbitraryStep,
      outdated: fc.boolean(),
      leftovers: fc.uniqueArray(fc.constantFrom('tmp-1-ab', 'set-1-ab', 'links/7-egress')),
      generation: fc.nat(100),
    })
    .map(({ step, outdated, leftovers, generation }): State => {
      const cgroups = step.cgroups.map((path, i) => ({ id: i + 1, path: `top/${path}` }));
      const state = desire(
        compile({ ...below('top', step), interfaces: step.policy.interfaces }, new Map()),
        { cgroups, interfaces: step.interfaces, build: 'ab', canAccelerate: () => true },
        NOTHING,
      );
      const attachments = state.attachments.map((each) => ({
        ...each,
        outdated: outdated ? each.hooks : [],
      }));
      const interfaces = state.interfaces.map((each) => ({
        ...each,
        mode: 'native' as const,
        isOutdated: outdated,
      }));
      return { ...state, attachments, interfaces, leftovers, generation };
    });
  fc.assert(
    fc.property(arbitraryState, (state) => {
      const plan = diff(state, state);
      return plan.inStep && plan.actions.length === 0;
    }),
    { seed: SEED, numRuns: 300 },
  );
  t.ok(diff(NOTHING, NOTHING).inStep);
  t.end();
});

t.test(`after a plan the kernel reads back as desired (seed ${String(SEED)})`, async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const exists = new Set<string>();
  const bringAbout = (wanted: readonly string[]): void => {
    for (const name of [...exists].sort().reverse()) {
      if (wanted.some((path) => path === name || path.startsWith(`${name}/`))) continue;
      rmdirSync(join(box.place.cgroupRoot, box.name, name));
      exists.delete(name);
    }
    for (const name of wanted) {
      box.cgroup(name);
      for (
        let path = name;
        path !== '.';
        path = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.'
      )
        exists.add(path);
    }
  };
  let steps = 0;
  let actions = 0;
  const property = fc.asyncProperty(arbitraryStep, async (step) => {
    steps++;
    bringAbout(step.cgroups);
    const lock = await lockWriter(box.place);
    try {
      const policy = below(box.name, step);
      const outcome = await carryOut(box.place, policy, { guards: [] });
      actions += outcome.plan.actions.length;
      if (outcome.failures.length > 0) throw new Error(outcome.failures[0]?.error.message);
      const cgroups = listCgroups(box.place.cgroupRoot);
      const after = readState(box.place, cgroups);
      if (after.program === null || outcome.program === null) throw new Error('nothing is loaded');
      const desired = desire(
        outcome.program,
        { cgroups, interfaces: [], build: after.programs?.build ?? '', canAccelerate },
        after,
      );
      const living = (state: State) =>
        state.attachments
          .filter((each) => !isLingering(each))
          .map(({ id, path, policy, hooks }) => ({ id, path, policy, hooks }));
      if (JSON.stringify(living(after)) !== JSON.stringify(living(desired)))
        throw new Error('attachments differ');
      if (!isSameProgram(after.program, desired.program)) throw new Error('the tables differ');
      if (!diff(desired, after).actions.every(({ op }) => op === 'sweep'))
        throw new Error('not in step');
    } finally {
      lock.close();
    }
  });
  // No shrinking: the kernel has moved on, a smaller step would begin elsewhere.
  await fc.assert(property, { seed: SEED, numRuns: KERNEL_STEPS, endOnFailure: true });
  t.ok(steps >= KERNEL_STEPS, `${String(steps)} steps, ${String(actions)} actions`);
  t.comment(`${String(steps)} transitions of the kernel, ${String(actions)} actions`);
});
