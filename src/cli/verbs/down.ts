import { join } from 'node:path';
import { agentOf } from '../../agent/presence.js';
import { CgfwError } from '../../base/error.js';
import { lockWriter } from '../../kernel/lock.js';
import { entriesOf, removeAllPins } from '../../kernel/pins.js';
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
      const links = entriesOf(join(place.pinRoot, 'links'));
      // Links first: they are what filters. The rest frees memory.
      removeAllPins(join(place.pinRoot, 'links'));
      removeAllPins(place.pinRoot);
      if (options['json'] === true) printJson(world, { detached: links.length });
      else if (links.length === 0) world.stdout('nothing was attached\n');
      else world.stdout(`detached ${String(links.length)} programs; nothing is filtered any more\n`);
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
  throw new CgfwError(`an agent is running (pid ${String(agent.pid)}) and would load the policy again`, {
    code: 'locked',
    fix: `stop it first: kill ${String(agent.pid)}, or systemctl stop cgfw; then cgfw down`,
  });
}
