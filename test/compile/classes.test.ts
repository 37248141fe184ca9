import t from 'tap';
import { CgfwError } from '../../src/base/error.js';
import { flatten } from '../../src/compile/classes.js';
import { list, ranges4, ranges6 } from './build.js';

t.test('overlapping lists become disjoint segments, classes counted as they appear', async (t) => {
  const outer = list('outer', ranges4(10, 99));
  const inner = list('inner', ranges4(20, 29, 50, 59, 90, 120));
  const { v4, classes } = flatten([outer, inner]);
  t.same([...v4.starts], [0, 10, 20, 30, 50, 60, 90, 100, 121]);
  t.same([...v4.classes], [0, 1, 2, 1, 2, 1, 2, 3, 0]);
  t.same(classes, [[], [0], [0, 1], [1]]);
});

t.test('ranges may touch both ends of the address space', async (t) => {
  const max = 0xffffffff;
  const { v4, v6, classes } = flatten([
    list('ends', ranges4(0, 0, max, max)),
    list('all', { ...ranges4(0, max), v6: ranges6(0, 0, 0, 0, max, max, max, max).v6 }),
  ]);
  t.same([...v4.starts], [0, 1, max]);
  t.same([...v4.classes], [1, 2, 1]);
  t.same([...v6.starts], [0, 0, 0, 0]);
  t.same([...v6.classes], [2]);
  t.same(classes, [[], [0, 1], [1]]);
});

t.test('without lists everything is in class 0', async (t) => {
  const { v4, v6, classes } = flatten([]);
  t.same([[...v4.starts], [...v4.classes]], [[0], [0]]);
  t.same([[...v6.starts], [...v6.classes]], [[0, 0, 0, 0], [0]]);
  t.same(classes, [[]]);
});

t.test('IPv6 boundaries carry over all four words', async (t) => {
  const max = 0xffffffff;
  const { v6 } = flatten([list('one', ranges6(1, max, max, max, 1, max, max, max))]);
  t.same([...v6.starts], [0, 0, 0, 0, 1, max, max, max, 2, 0, 0, 0]);
  t.same([...v6.classes], [0, 1, 0]);
});

t.test(
  'thousands of lists in one place cost their boundaries, and no copy of each set',
  async (t) => {
    const lists = Array.from({ length: 4000 }, (_, i) => list(`l${i}`, ranges4(i, 8000 - i)));
    const { v4, classes } = flatten(lists);
    t.equal(classes.length, 4001);
    t.equal(v4.classes.length, 8000);
    t.equal(classes[4000]!.length, 4000);
  },
);

t.test('more than 65,535 combinations of lists are refused with the figure', async (t) => {
  const lists = Array.from({ length: 66_000 }, (_, i) => list(`l${i}`, ranges4(i * 2, i * 2)));
  t.throws(() => flatten(lists), { code: 'invalid-policy', message: /more than 65,535/ });
});

t.test('lists that overlap too much to be written down are refused', async (t) => {
  const lists = Array.from({ length: 6000 }, (_, i) => list(`l${i}`, ranges4(i, 12000 - i)));
  try {
    flatten(lists);
    t.fail('accepted');
  } catch (error) {
    t.ok(error instanceof CgfwError);
    t.match(error, { diagnostics: [{ code: 'too-big', severity: 'error', fix: String }] });
  }
});
