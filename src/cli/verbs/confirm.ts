import { setTimeout as delay } from 'node:timers/promises';
import { agentOf } from '../../agent/presence.js';
import { reconcile } from '../../agent/reconcile.js';
import { confirmTrial, pendingTrial, revertTrial, secondsLeft } from '../../agent/trial.js';
import { CgfwError } from '../../base/error.js';
import { readState } from '../../kernel/read.js';
import type { Place } from '../../kernel/place.js';
import { PolicyFile } from '../../source/policy-file.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson } from '../command.js';
import type { Options, Verb } from '../command.js';
import { kernelPlace } from '../prepare.js';
import type { World } from '../world.js';

/** How often a process that waits looks whether the trial has ended. */
const LOOK_MS = 500;

export const confirm: Verb = {
  name: 'confirm',
  summary: 'keep the policy that apply --confirm has put into force',
  args: [],
  options: [
    JSON_OPTION,
    ['--revert', 'do not keep it: put back at once what was in force before'],
    [
      '--wait',
      'wait for the end of the trial, and put things back if nobody confirms (apply --confirm starts this)',
    ],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw apply new.yaml --confirm 60s', 'begins a trial of 60 seconds'],
    ['cgfw confirm', 'you can still reach the host: the new policy stays'],
  ],
  exits: '0 confirmed (or put back), 2 trouble, or no policy is on trial',
  run: async (world, _args, options) => {
    const place = kernelPlace(world, options);
    if (options['wait'] === true) return await waitForEnd(world, place);
    const revert = options['revert'] === true;
    if (!revert) refuseIfAgentDisagrees(world, place);
    const trial = await (revert ? revertTrial(place) : confirmTrial(place));
    say(world, options, revert, revert ? generationNow(place) : trial.generation);
    return 0;
  },
};

function say(world: World, options: Options, revert: boolean, generation: number): void {
  if (options['json'] === true)
    printJson(world, { confirmed: !revert, reverted: revert, generation });
  else if (!revert) world.stdout(`confirmed: generation ${String(generation)} stays in force\n`);
  else if (generation === 0)
    world.stdout('put back: nothing was loaded before, and nothing is now\n');
  else
    world.stdout(
      `put back: generation ${String(generation)} is what was in force before the trial\n`,
    );
}

function generationNow(place: Place): number {
  return readState(place, [], 'names-only').generation;
}

/** Kept now and replaced by the agent a moment later would be no confirmation. */
function refuseIfAgentDisagrees(world: World, place: Place): void {
  const agent = agentOf(place);
  if (agent === null || agent.policy === null || pendingTrial(place) === null) return;
  const { policy } = new PolicyFile(agent.policy, world.uid).read();
  const loaded = readState(place, [], 'names-only').program?.names;
  if (policy === undefined || loaded === undefined || policy.hash === loaded.hash) return;
  throw new CgfwError(
    `the running agent follows ${agent.policy}, which says something else than the policy on trial`,
    {
      code: 'usage',
      fix: `copy the policy there first: cp ${loaded.origin} ${agent.policy}; then cgfw confirm`,
    },
  );
}

/** Whatever happens, this goes on until the trial has ended one way or the other. */
async function waitForEnd(world: World, place: Place): Promise<number> {
  while (!world.stop.aborted) {
    const trial = pendingTrial(place);
    if (trial === null) return 0;
    if (secondsLeft(trial) === 0) await putBack(place);
    else await delay(LOOK_MS, undefined, { signal: world.stop }).catch(() => undefined);
  }
  return 0;
}

async function putBack(place: Place): Promise<void> {
  try {
    // Wants nothing but what is loaded: the trial that is over ends first.
    await reconcile(place, null, { guards: [] });
  } catch {
    await delay(LOOK_MS);
  }
}
