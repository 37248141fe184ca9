import { readFileSync } from 'node:fs';
import t from 'tap';
import * as points from '../../src/abi/points.js';
import * as layout from '../../src/compile/layout.js';

t.test('constants that BTF does not carry are those of bpf/abi.h', async (t) => {
  const header = readFileSync('bpf/abi.h', 'utf8');
  const macros = new Map(
    [...header.matchAll(/^#define (\w+) (0x[0-9a-fA-F]+|\d+)U?\b/gm)].map(([, name, value]) => [
      name!,
      Number(value),
    ]),
  );
  const own = Object.entries({ ...layout, ...points }).filter(([name]) => macros.has(name));
  t.same(
    own.map(([name, value]) => [name, value]),
    own.map(([name]) => [name, macros.get(name)]),
  );
  t.equal(own.length, 32);
});

t.test('struct policy is 18 words, with a direction of 8 words each way', async (t) => {
  t.equal(layout.POLICY_WORDS, 18);
  t.same(layout.DIRECTION_OFFSET, { egress: 2, ingress: 10 });
});
