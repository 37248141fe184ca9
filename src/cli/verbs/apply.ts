import { resolve } from 'node:path';
import { agentOf } from '../../agent/presence.js';
import { reconcile } from '../../agent/reconcile.js';
import type { Outcome } from '../../agent/reconcile.js';
import { pendingTrial, secondsLeft } from '../../agent/trial.js';
import { isUnaccelerated, UNACCELERATED } from '../../agent/unaccelerated.js';
import type { Action } from '../../plan/action.js';
import type { Place } from '../../kernel/place.js';
import { planToJson, renderPlan, renderSummary } from '../../plan/render.js';
import {
  CGROUP_ROOT_OPTION,
  DEFAULT_POLICY,
  JSON_OPTION,
  POLICY_ARGUMENT,
  printJson,
  textOption,
} from '../command.js';
import type { Verb } from '../command.js';
import { startDetached } from '../detach.js';
import { parseDuration } from '../duration.js';
import { warnHeld } from '../held.js';
import { painter } from '../paint.js';
import { guardsFor, readPolicyArgument, validPolicy, writablePlace } from '../prepare.js';
import type { World } from '../world.js';

export const apply: Verb = {
  name: 'apply',
  summary: 'put a policy into force, once',
  args: [POLICY_ARGUMENT],
  options: [
    JSON_OPTION,
    [
      '--confirm <duration>',
      'put back what was in force before unless cgfw confirm follows within 60s, 5m or 1h',
    ],
    [
      '--force',
      'take set files that change more than their guard allows, and drop SSH connections that a policy of interfaces denies',
    ],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw apply', 'puts /etc/cgfw/policy.yaml into force; it stays so without any agent'],
    ['cgfw diff && cgfw apply', 'looks first'],
    [
      'cgfw apply new.yaml --confirm 60s',
      'tries new.yaml: if it shuts you out, do nothing, and it is undone',
    ],
  ],
  exits: '0 in force, 2 trouble (what was in force before stays)',
  run: async (world, args, options) => {
    const confirmWithinMs = parseDuration('--confirm', textOption(options, 'confirm'));
    const reading = readPolicyArgument(world, args);
    const policy = validPolicy(world, reading);
    const place = writablePlace(world, options);
    const onAction = (action: Action): void => {
      // From the switch on there must be somebody who puts things back.
      if (action.op === 'switch')
        startDetached(world, ['confirm', '--wait', '--cgroup-root', place.cgroupRoot]);
    };
    const outcome = await reconcile(place, policy, {
      ...guardsFor(reading, options['force'] === true ? 'force' : 'guarded'),
      ...(options['force'] === true ? {} : { operator: world.env }),
      duringTrial: 'refuse',
      ...(confirmWithinMs === null ? {} : { confirmWithinMs, onAction }),
    });
    warnHeld(world, outcome.held);
    if (isUnaccelerated(outcome.state)) world.stderr(`warning: ${UNACCELERATED}\n`);
    const trial = trialOf(place);
    if (options['json'] === true) printJson(world, { ...outcomeToJson(outcome), trial });
    else printOutcome(world, outcome, trial);
    warnAgent(world, place, resolve(args[0] ?? DEFAULT_POLICY), trial);
    return outcome.failures.length === 0 ? 0 : 2;
  },
};

type TrialDocument = { readonly generation: number; readonly seconds: number } | null;

function trialOf(place: Place): TrialDocument {
  const trial = pendingTrial(place);
  return trial === null ? null : { generation: trial.generation, seconds: secondsLeft(trial) };
}

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

function printOutcome(
  world: World,
  { plan, state, failures }: Outcome,
  trial: TrialDocument,
): void {
  if (plan.inStep) {
    world.stdout(`in step: generation ${String(state.generation)} enforces this policy already\n`);
    return;
  }
  world.stdout(`${renderPlan(plan, painter(world))}${renderSummary(plan)}\n`);
  for (const { error } of failures) world.stderr(`cgfw: ${error.message}\n  fix: ${error.fix}\n`);
  world.stdout(`in force: generation ${String(state.generation)}\n`);
  if (trial === null) return;
  world.stdout(
    `on trial: undone in ${String(trial.seconds)} seconds unless you run cgfw confirm\n`,
  );
}

/** An agent that follows another file would undo this soon, and nobody would know why. */
function warnAgent(world: World, place: Place, file: string, trial: TrialDocument): void {
  const agent = agentOf(place);
  if (agent === null || agent.policy === null || agent.policy === file) return;
  const when = trial === null ? 'soon' : 'when the trial is over';
  world.stderr(
    `cgfw: the running agent (pid ${String(agent.pid)}) follows ${agent.policy} and puts that back ${when}\n` +
      `  fix: copy the policy there: cp ${file} ${agent.policy}\n`,
  );
}
