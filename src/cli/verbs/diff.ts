import { prospect } from '../../agent/prospect.js';
import { planToJson, renderPlan, renderSummary } from '../../plan/render.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, POLICY_ARGUMENT, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { painter } from '../paint.js';
import { guardsFor, kernelPlace, readPolicyArgument, validPolicy } from '../prepare.js';
import { lockoutsOf } from '../../agent/lockout.js';
import { warnHeld, warnLockouts } from '../held.js';

export const diff: Verb = {
  name: 'diff',
  summary: 'show what apply would change, and change nothing',
  args: [POLICY_ARGUMENT],
  options: [
    JSON_OPTION,
    ['--force', 'as apply --force: ignore the guards of set files'],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw diff', 'compares /etc/cgfw/policy.yaml with what the kernel enforces'],
    ['cgfw diff new.yaml && echo in step', 'the exit code is that of diff(1)'],
  ],
  exits: '0 in step, 1 differences, 2 trouble',
  run: (world, args, options) => {
    const place = kernelPlace(world, options);
    const reading = readPolicyArgument(world, args);
    const policy = validPolicy(world, reading);
    const guards = guardsFor(reading, options['force'] === true ? 'force' : 'guarded');
    const found = prospect(place, policy, guards);
    const { plan, held } = found;
    warnHeld(world, held);
    if (options['force'] !== true) warnLockouts(world, lockoutsOf(found, world.env));
    if (options['json'] === true) printJson(world, planToJson(plan));
    else if (plan.inStep) world.stdout('in step: the kernel enforces this policy\n');
    else world.stdout(`${renderPlan(plan, painter(world))}${renderSummary(plan)}\n`);
    return plan.inStep ? 0 : 1;
  },
};
