// A cgroup is under no policy until the switch that gives it one, also when it had another before.

import { join } from 'node:path';
import t from 'tap';
import { compile } from '../../src/compile/compile.js';
import { desire } from '../../src/compile/desire.js';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import { applyActions } from '../../src/kernel/apply.js';
import { cgroupId, listCgroups } from '../../src/kernel/cgroups.js';
import { buildOf } from '../../src/kernel/load.js';
import { readOwner } from '../../src/kernel/owners.js';
import { readState } from '../../src/kernel/read.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { diff } from '../../src/plan/diff.js';
import type { Policy } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, policyOf } from '../compile/build.js';
import { Sandbox } from './sandbox.js';

t.test('a cgroup that comes back under a policy', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const { place } = box;
  const [kept, coming] = [box.cgroup('kept'), box.cgroup('coming')];
  const id = cgroupId(join(place.cgroupRoot, coming))!;
  const policy = (text: string, ...cgroups: string[]): Policy => ({
    ...policyOf(
      [],
      cgroups.map((cgroup) =>
        cgroupPolicy(cgroup, { cgroups: [cgroup], egress: direction('drop') }),
      ),
    ),
    text,
  });

  /** Owner of the cgroup in the generation in force, at each action. */
  async function put(next: Policy): Promise<string[]> {
    const owners: string[] = [];
    const cgroups = listCgroups(place.cgroupRoot);
    const loaded = readState(place, cgroups);
    const counters = new Map(loaded.program?.names.rules.map((rule) => [rule.key, rule.counter]));
    const program = compile(next, counters);
    const { actions } = diff(
      desire(program, { interfaces: [], cgroups, build: buildOf(place), canAccelerate }, loaded),
      loaded,
    );
    await applyActions(place, {
      actions,
      program,
      loaded: loaded.program,
      onAction: ({ op }) => {
        const set = openCurrentSet(place.pinRoot);
        if (set === null) return;
        const owner = readOwner(set.maps.owners, id, set.generation & 1);
        if (op === 'fill' || op === 'switch') owners.push(`${op}: ${String(owner)}`);
        set.close();
      },
    });
    return owners;
  }

  await put(policy('one', coming, kept));
  await put(policy('two', coming, kept));
  await put(policy('three', kept));
  await put(policy('four', kept));
  t.same(await put(policy('five', kept, coming)), ['fill: 0', 'switch: 0']);
});
