import { reconcile } from '../../agent/reconcile.js';
import type { Outcome } from '../../agent/reconcile.js';
import { planToJson, renderPlan, renderSummary } from '../../plan/render.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, POLICY_ARGUMENT, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { warnHeld } from '../held.js';
import { painter } from '../paint.js';
import { guardsFor, readPolicyArgument, validPolicy, writablePlace } from '../prepare.js';
import type { World } from '../world.js';

export const apply: Verb = {
  name: 'apply',
  summary: 'put a policy into force, once',
  args: [POLICY_ARGUMENT],
  options: [JSON_OPTION, ['--force', 'take set files that change more than their guard allows'], CGROUP_ROOT_OPTION],
  examples: [
    ['cgfw apply', 'puts /etc/cgfw/policy.yaml into force; it stays so without any agent'],
    ['cgfw diff && cgfw apply', 'looks first'],
  ],
  exits: '0 in force, 2 trouble (what was in force before stays)',
  run: async (world, args, options) => {
    const reading = readPolicyArgument(world, args);
    const policy = validPolicy(world, reading);
    const place = writablePlace(world, options);
    const guards = guardsFor(reading, options['force'] === true ? 'force' : 'guarded');
    const outcome = await reconcile(place, policy, guards);
    warnHeld(world, outcome.held);
    if (options['json'] === true) printJson(world, outcomeToJson(outcome));
    else printOutcome(world, outcome);
    return outcome.failures.length === 0 ? 0 : 2;
  },
};

function outcomeToJson(outcome: Outcome): object {
  return {
    ...planToJson(outcome.plan),
    generation: outcome.state.generation,
    applied: outcome.failures.length === 0,
    failures: outcome.failures.map(({ action, error }) => ({
      op: action.op,
      target: action.target,
      code: error.code,
      message: error.message,
      fix: error.fix,
    })),
    held: outcome.held,
  };
}

function printOutcome(world: World, { plan, state, failures }: Outcome): void {
  if (plan.inStep) {
    world.stdout(`in step: generation ${String(state.generation)} enforces this policy already\n`);
    return;
  }
  world.stdout(`${renderPlan(plan, painter(world))}${renderSummary(plan)}\n`);
  for (const { error } of failures) world.stderr(`cgfw: ${error.message}\n  fix: ${error.fix}\n`);
  world.stdout(`in force: generation ${String(state.generation)}\n`);
}
