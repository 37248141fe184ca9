// The schema, the hand-written types and the documentation speak of one language.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { readPolicy } from '../../src/policy/load.js';
import type { Action, LogLevel, Mode } from '../../src/policy/policy.js';
import { parseNetset } from '../../src/policy/netset.js';
import type { Egress, EgressRule, Ingress, Policy } from '../../src/policy/schema.gen.js';

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

t.test('the types of a resolved policy are those of the schema', async (t) => {
  const same: readonly true[] = [
    true satisfies Same<Action, EgressRule['action']>,
    true satisfies Same<Action, Egress['default']>,
    true satisfies Same<Exclude<Action, 'reject'>, Ingress['default']>,
    true satisfies Same<LogLevel, NonNullable<Policy['log']>>,
    true satisfies Same<Mode, NonNullable<Policy['mode']>>,
    true satisfies Same<'allow' | 'deny', NonNullable<Policy['raw']>>,
  ];
  t.ok(same.every(Boolean), 'checked by the compiler');
});

t.test('the example in docs/policy.md is a policy without mistakes', async (t) => {
  const docs = readFileSync(path.join(import.meta.dirname, '../../../docs/policy.md'), 'utf8');
  const [, example = ''] = /```yaml\n([^]*?)```/.exec(docs) ?? [];
  const netset = parseNetset(new TextEncoder().encode('203.0.113.0/24\n'), 'f');
  const sets = new Map([['feeds/blocklist.netset', { kind: 'read', sha256: '', netset } as const]]);
  const { policy, diagnostics } = readPolicy(
    new TextEncoder().encode(example),
    'policy.yaml',
    sets,
  );
  t.same(diagnostics, []);
  t.equal(policy?.policies[0]?.egress.rules.length, 3);
});
