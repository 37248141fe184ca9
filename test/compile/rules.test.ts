import t from 'tap';
import { compile } from '../../src/compile/compile.js';
import {
  DIRECTION_CLOSED,
  DIRECTION_FLAGS,
  DIRECTION_OFFSET,
  DIRECTION_ONE_COLUMN,
  DIRECTION_ONE_ROW,
  DIRECTION_OPEN,
  POLICY_AUDIT,
  POLICY_LOUD,
  POLICY_RAW_DENY,
  POLICY_WORDS,
} from '../../src/compile/layout.js';
import type { CounterIds, Program } from '../../src/compile/program.js';
import type { CgroupPolicy, Direction, LogLevel } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, list, policyOf, ranges4, rule } from './build.js';

const LISTS = [list('corp', ranges4(1, 9)), list('web egress#0', ranges4(20, 20))];
const NONE: CounterIds = new Map();

function compileOne(more: Partial<CgroupPolicy>, counters = NONE, lists = LISTS): Program {
  return compile(policyOf(lists, [cgroupPolicy('web', more)]), counters);
}

t.test(
  'rules stand in the order: egress, ingress, raw, each direction with its stand-ins',
  async (t) => {
    const { names, tables } = compileOne({
      raw: 'deny',
      egress: direction('reject', rule('allow', [0], 'any', { name: 'office', log: 'all' })),
      ingress: direction('drop', rule('allow', 'any', [443, 443])),
    });
    t.same(
      names.rules.map(({ direction, kind, name, action, log, lists }) => [
        direction,
        kind,
        name,
        action,
        log,
        lists,
      ]),
      [
        ['egress', 'rule', 'office', 'allow', 'all', ['corp']],
        ['egress', 'default', 'default', 'reject', 'denied', null],
        ['egress', 'unparsable', 'unparsable', 'reject', 'denied', null],
        ['ingress', 'rule', '0', 'allow', 'denied', null],
        ['ingress', 'default', 'default', 'drop', 'denied', null],
        ['ingress', 'unparsable', 'unparsable', 'drop', 'denied', null],
        ['egress', 'raw', 'raw', 'reject', 'denied', null],
      ],
    );
    t.same([...tables.rules].slice(0, 4), [3 << 8, 0, 2 | (1 << 8), 1]);
    t.equal(tables.policies[POLICY_WORDS + 1], 6, 'raw_rule is absolute');
  },
);

t.test(
  'flags say audit, raw sockets denied, nothing to deny, nothing to look up and denied by default',
  async (t) => {
    const flagsOf = ({ tables: { policies } }: Program) => ({
      policy: policies[POLICY_WORDS],
      egress: policies[POLICY_WORDS + DIRECTION_OFFSET.egress + DIRECTION_FLAGS],
    });
    t.same(flagsOf(compileOne({ mode: 'audit', raw: 'deny' })), {
      policy: POLICY_AUDIT | POLICY_RAW_DENY,
      egress: DIRECTION_OPEN | DIRECTION_ONE_ROW | DIRECTION_ONE_COLUMN,
    });
    t.equal(flagsOf(compileOne({ log: 'denied' })).policy, 0);
    t.equal(flagsOf(compileOne({ log: 'new' })).policy, POLICY_LOUD);
    t.equal(flagsOf(compileOne({ log: 'all' })).policy, POLICY_LOUD);
    const denying = direction('allow', rule('drop', [0], 'any'));
    t.same(flagsOf(compileOne({ egress: denying })), { policy: 0, egress: DIRECTION_ONE_COLUMN });
    const byPort = direction('allow', rule('drop', 'any', [25, 25]));
    t.same(flagsOf(compileOne({ egress: byPort })), { policy: 0, egress: DIRECTION_ONE_ROW });
    const both = direction('allow', rule('drop', [0], [25, 25]));
    t.same(flagsOf(compileOne({ egress: both })), { policy: 0, egress: 0 });
    const closed = direction('reject', rule('allow', [0], [25, 25]));
    t.same(flagsOf(compileOne({ egress: closed })), { policy: 0, egress: DIRECTION_CLOSED });
  },
);

t.test('a direction that logs new flows is not open: it asks who began', async (t) => {
  const isOpen = (egress: Direction, log: LogLevel = 'denied'): boolean => {
    const { policies } = compileOne({ egress, log }).tables;
    const flags = policies[POLICY_WORDS + DIRECTION_OFFSET.egress + DIRECTION_FLAGS]!;
    return (flags & DIRECTION_OPEN) !== 0;
  };
  t.equal(isOpen(direction('allow', rule('allow', [0], 'any'))), true);
  t.equal(isOpen(direction('allow', rule('allow', [0], 'any', { log: 'all' })), 'all'), true);
  t.equal(isOpen(direction('allow', rule('allow', [0], 'any', { log: 'new' }))), false);
  t.equal(isOpen(direction('allow', rule('allow', [0], 'any')), 'new'), false);
});

t.test('a rule keeps its counter wherever it stands', async (t) => {
  const office = rule('allow', [0], [443, 443]);
  const inline = rule('allow', [1], 'any');
  const before = compileOne({ egress: direction('drop', office, inline) });
  const counters = new Map(before.names.rules.map(({ key, counter }) => [key, counter]));
  const moved = [LISTS[0]!, list('web egress#1', LISTS[1]!.ranges)];
  const after = compileOne(
    { egress: direction('drop', rule('drop', 'any', [25, 25]), inline, office) },
    counters,
    moved,
  );
  t.same(
    after.names.rules.slice(0, 3).map(({ counter }) => counter),
    [7, 1, 0],
  );
  t.same(
    after.names.rules.slice(3).map(({ counter }) => counter),
    [2, 3, 4, 5, 6],
  );
});

t.test('a new rule never takes a counter that a known rule had', async (t) => {
  const counters = new Map([
    ['gone', 0],
    ['gone too', 2],
  ]);
  const { names } = compileOne({}, counters);
  t.same(
    names.rules.map(({ counter }) => counter),
    [1, 3, 4, 5, 6],
  );
});

t.test('equal rules have a counter each', async (t) => {
  const twice = [rule('allow', [0], [80, 80]), rule('allow', [0], [80, 80])];
  const { names } = compileOne({ egress: direction('drop', ...twice) });
  t.equal(new Set(names.rules.map(({ key }) => key)).size, names.rules.length);
  t.equal(new Set(names.rules.map(({ counter }) => counter)).size, names.rules.length);
});

t.test(
  'a rule is another one when its action, addresses, ports or name change, not its log',
  async (t) => {
    const keyOf = (...args: Parameters<typeof rule>) =>
      compileOne({ egress: direction('drop', rule(...args)) }).names.rules[0]!.key;
    const key = keyOf('allow', [0], [80, 80]);
    t.equal(keyOf('allow', [0], [80, 80], { log: 'all', line: 9 }), key);
    t.not(keyOf('drop', [0], [80, 80]), key);
    t.not(keyOf('allow', [1], [80, 80]), key);
    t.not(keyOf('allow', [0], [81, 81]), key);
    t.not(keyOf('allow', [0], [80, 80], { name: 'web' }), key);
  },
);

t.test('a named list may change its content, and the rule remains the same', async (t) => {
  const egress = direction('drop', rule('allow', [0], 'any'));
  const grown = [list('corp', ranges4(1, 99)), LISTS[1]!];
  t.equal(
    compileOne({ egress }).names.rules[0]!.key,
    compileOne({ egress }, NONE, grown).names.rules[0]!.key,
  );
});
