import t from 'tap';
import { compile } from '../../src/compile/compile.js';
import {
  CELL_BASE,
  COL_BASE,
  DIRECTION_OFFSET,
  POLICY_WORDS,
  ROW_BASE,
} from '../../src/compile/layout.js';
import type { Rule } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, list, policyOf, ranges4, rule } from './build.js';

t.test('policies that decide alike share their verdict tables', async (t) => {
  const egress = direction('drop', rule('allow', [0], [443, 443]));
  const lists = [list('corp', ranges4(10, 20))];
  const policies = Array.from({ length: 200 }, (_, i) => cgroupPolicy(`p${i}`, { egress }));
  const { tables } = compile(policyOf(lists, policies), new Map());
  const one = compile(policyOf(lists, policies.slice(0, 1)), new Map());
  t.same(tables.cells, one.tables.cells);
  for (const base of [ROW_BASE, COL_BASE, CELL_BASE]) {
    const at = DIRECTION_OFFSET.egress + base;
    t.equal(tables.policies[200 * POLICY_WORDS + at], tables.policies[POLICY_WORDS + at]);
  }
});

t.test('entry 0 of the policies is empty: it stands for no policy', async (t) => {
  const { tables } = compile(policyOf([], [cgroupPolicy('web')]), new Map());
  t.equal(tables.policies.length, 2 * POLICY_WORDS);
  t.notOk(tables.policies.subarray(0, POLICY_WORDS).some((word) => word !== 0));
});

t.test('no policies at all are a program without rules', async (t) => {
  const { names, tables } = compile(policyOf([], []), new Map());
  t.same(names.rules, []);
  t.equal(tables.policies.length, POLICY_WORDS);
});

t.test('rules that an earlier rule hides take no room', async (t) => {
  const lists = Array.from({ length: 500 }, (_, i) => list(`l${i}`, ranges4(i * 2, i * 2)));
  const hidden = lists.map((_, i) => rule('drop', [i], [i, i + 1]));
  const egress = direction('drop', rule('allow', 'any', 'any'), ...hidden);
  const { tables } = compile(policyOf(lists, [cgroupPolicy('web', { egress })]), new Map());
  t.ok(tables.cells.length < 5000, `${tables.cells.length} cells`);
});

t.test(
  'a direction whose verdicts do not fit is refused with its name and the figures',
  async (t) => {
    const lists = Array.from({ length: 6000 }, (_, i) => list(`l${i}`, ranges4(i * 2, i * 2)));
    const rules: Rule[] = lists.map((_, i) => rule('allow', [i], [i * 2, i * 2]));
    const ingress = { ...direction('drop', ...rules), defaultLine: 2 };
    const policy = {
      ...policyOf(lists, [cgroupPolicy('web', { ingress })]),
      text: 'version: 1\n  default: drop\n',
    };
    t.throws(() => compile(policy, new Map()), {
      code: 'invalid-policy',
      diagnostics: [
        {
          code: 'too-big',
          message:
            'ingress of policy web tells 6,001 groups of addresses and 6,002 groups of ports ' +
            'apart: 36,018,002 verdicts, where 33,554,432 fit',
          at: {
            file: '/etc/cgfw/policy.yaml',
            line: 2,
            column: 3,
            length: 13,
            text: '  default: drop',
          },
        },
      ],
    });
  },
);

t.test('more rules in a direction than a cell can number are refused', async (t) => {
  const egress = direction(
    'drop',
    ...Array.from({ length: 65_534 }, () => rule('allow', 'any', [1, 1])),
  );
  t.throws(() => compile(policyOf([], [cgroupPolicy('web', { egress })]), new Map()), {
    message: 'egress of policy web has 65,534 rules, where 65,533 fit',
  });
});
