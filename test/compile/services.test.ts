import t from 'tap';
import { POINT_ICMP, POINT_PROTO, POINT_UDP, POINTS } from '../../src/abi/points.js';
import { compile } from '../../src/compile/compile.js';
import { verdictOf } from '../../src/compile/lookup.js';
import { undecidedPoints } from '../../src/compile/services.js';
import type { Rule } from '../../src/policy/policy.js';
import { cgroupPolicy, direction, policyOf, rule } from './build.js';

const TCP = POINT_PROTO + 6;
const UDP = POINT_PROTO + 17;
const WHOLE_TCP = [0, 65535, TCP, TCP];

/** Which rule of an egress direction with default drop decides at a point. */
function deciderAt(point: number, ...rules: readonly Rule[]): string {
  const egress = direction('drop', ...rules);
  const { tables, names } = compile(policyOf([], [cgroupPolicy('web', { egress })]), new Map());
  return names.rules[verdictOf(tables, 1, 'egress', 4, [1], point)]!.name;
}

t.test('points that the same rules name share a class', async (t) => {
  const egress = direction(
    'drop',
    rule('allow', 'any', [80, 80, 443, 443]),
    rule('allow', 'any', [440, 450]),
  );
  const { services } = compile(policyOf([], [cgroupPolicy('web', { egress })]), new Map()).tables;
  t.equal(services.length, POINTS);
  t.equal(services[440], services[450]);
  t.not(services[443], services[440]);
  t.not(services[80], services[443]);
  t.equal(services[81], services[POINT_UDP]);
});

t.test('a packet without its port is covered by a rule for the whole protocol', async (t) => {
  t.equal(deciderAt(TCP, rule('allow', 'any', WHOLE_TCP)), '0');
});

t.test('a packet without its port is unparsable where a port decides', async (t) => {
  t.equal(
    deciderAt(TCP, rule('allow', 'any', [443, 443]), rule('allow', 'any', 'any')),
    'unparsable',
  );
  t.equal(deciderAt(TCP, rule('allow', 'any', [0, 65535])), 'unparsable');
});

t.test('a rule for the whole protocol decides when it comes before those for ports', async (t) => {
  t.equal(deciderAt(TCP, rule('drop', 'any', WHOLE_TCP), rule('allow', 'any', [443, 443])), '0');
});

t.test('ports of one protocol say nothing about another', async (t) => {
  t.equal(deciderAt(UDP, rule('allow', 'any', [443, 443])), 'default');
  t.equal(deciderAt(POINT_PROTO + 47, rule('allow', 'any', [443, 443])), 'default');
});

t.test('an ICMP type decides like a port', async (t) => {
  t.same(undecidedPoints(Uint32Array.of(POINT_ICMP + 8, POINT_ICMP + 8)), [POINT_PROTO + 1]);
  t.equal(
    deciderAt(POINT_PROTO + 1, rule('allow', 'any', [POINT_ICMP + 8, POINT_ICMP + 8])),
    'unparsable',
  );
});

t.test('without rules every point has one class', async (t) => {
  const { services } = compile(policyOf([], [cgroupPolicy('web')]), new Map()).tables;
  t.same(new Set(services), new Set([0]));
});
