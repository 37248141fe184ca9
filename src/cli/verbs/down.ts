import { agentOf } from '../../agent/presence.js';
import { CgfwError } from '../../base/error.js';
import { lockWriter } from '../../kernel/lock.js';
import { removeEverything } from '../../kernel/pins.js';
import type { Place } from '../../kernel/place.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { kernelPlace } from '../prepare.js';

export const down: Verb = {
  name: 'down',
  summary: 'remove everything of ours from the kernel, and nothing else',
  args: [],
  options: [JSON_OPTION, CGROUP_ROOT_OPTION],
  examples: [
    ['cgfw down', 'detaches all programs and removes all pins; nothing is filtered any more'],
    ['systemctl stop cgfw && cgfw down', 'where an agent runs: it would load the policy again'],
  ],
  exits: '0 nothing of ours is left, 2 trouble',
  run: async (world, _args, options) => {
    const place = kernelPlace(world, options);
    refuseBesideAgent(place);
    const lock = await lockWriter(place);
    try {
      const detached = removeEverything(place.pinRoot);
      if (options['json'] === true) printJson(world, { detached });
      else if (detached === 0) world.stdout('nothing was attached\n');
      else world.stdout(`detached ${String(detached)} programs; nothing is filtered any more\n`);
    } finally {
      lock.close();
    }
    return 0;
  },
};

/** The agent would load the policy again at its next look: taking it down would be a silent no-op. */
function refuseBesideAgent(place: Place): void {
  const agent = agentOf(place);
  if (agent === null) return;
  throw new CgfwError(
    `an agent is running (pid ${String(agent.pid)}) and would load the policy again`,
    {
      code: 'locked',
      fix: `stop it first: kill ${String(agent.pid)}, or systemctl stop cgfw; then cgfw down`,
    },
  );
}
