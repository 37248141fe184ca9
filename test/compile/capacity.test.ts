import t from 'tap';
import { chooseCapacity, neededCapacity } from '../../src/compile/capacity.js';
import { compile } from '../../src/compile/compile.js';
import { cgroupPolicy, policyOf } from './build.js';

const program = compile(policyOf([], [cgroupPolicy('web')]), new Map());

t.test('what a program needs is counted in blocks', async (t) => {
  t.same(neededCapacity(program, 4097), {
    roots: 256,
    ranges4: 1,
    ranges6: 1,
    cells: 1,
    services: 97,
    rules: 1,
    policies: 2,
    text: 2,
    counters: 5,
    acceleration: 0,
  });
});

t.test('programs that accelerate are needed where a policy asks for them', async (t) => {
  const policies = [cgroupPolicy('web'), cgroupPolicy('db', { accelerate: true })];
  const needed = neededCapacity(compile(policyOf([], policies), new Map()), 100);
  t.equal(needed.acceleration, 1);
  t.equal(
    chooseCapacity(needed, chooseCapacity(neededCapacity(program, 100), null)).acceleration,
    1,
  );
});

t.test('a small program gets room to grow', async (t) => {
  const needed = neededCapacity(program, 100);
  const chosen = chooseCapacity(needed, null);
  for (const [table, blocks] of Object.entries(needed)) {
    t.ok(chosen[table as keyof typeof chosen] >= blocks, table);
  }
  t.ok(chosen.roots > 256, 'nodes');
});

t.test('what is loaded is kept while everything fits, and never shrinks', async (t) => {
  const needed = neededCapacity(program, 100);
  const loaded = { ...chooseCapacity(needed, null), ranges4: 4096 };
  t.equal(chooseCapacity(needed, loaded), loaded);
  const grown = chooseCapacity({ ...needed, cells: 1000 }, loaded);
  t.same(grown, { ...loaded, cells: 1024 });
});

t.test('the nodes above the roots grow by doubling, the roots do not', async (t) => {
  const needed = { ...neededCapacity(program, 100), roots: 256 + 70 };
  t.equal(chooseCapacity(needed, null).roots, 256 + 128);
});
