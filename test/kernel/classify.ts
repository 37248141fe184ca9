// A resolved policy in the kernel with no cgroup at all, to be asked.

import { compile } from '../../src/compile/compile.js';
import { desire } from '../../src/compile/desire.js';
import type { Program, RuleName } from '../../src/compile/program.js';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import { applyActions } from '../../src/kernel/apply.js';
import { buildOf } from '../../src/kernel/load.js';
import { readState } from '../../src/kernel/read.js';
import { diff } from '../../src/plan/diff.js';
import type { Policy } from '../../src/policy/policy.js';
import type { Decider, Packet } from '../compile/reference.js';
import type { Sandbox } from './sandbox.js';

/** Puts a policy into force for no cgroup; gives what was compiled. */
export async function load({ place }: Sandbox, policy: Policy): Promise<Program> {
  const loaded = readState(place, []);
  const counters = new Map(loaded.program?.names.rules.map((rule) => [rule.key, rule.counter]));
  const program = compile(policy, counters);
  const build = buildOf(place);
  const desired = desire(program, { cgroups: [], interfaces: [], build, canAccelerate }, loaded);
  await applyActions(place, {
    actions: diff(desired, loaded).actions,
    program,
    loaded: loaded.program,
  });
  return program;
}

/** Whether the rule that was found is the one that the reference says. */
export function isSame(rule: RuleName, packet: Packet, expected: Decider): boolean {
  if (rule.policy !== packet.policy || rule.direction !== packet.direction) return false;
  return typeof expected === 'number'
    ? rule.kind === 'rule' && rule.index === expected
    : rule.kind === expected;
}
