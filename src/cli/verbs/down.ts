import { lockWriter } from '../../kernel/lock.js';
import { entriesOf, removeAllPins } from '../../kernel/pins.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { kernelPlace } from '../prepare.js';
import { join } from 'node:path';

export const down: Verb = {
  name: 'down',
  summary: 'remove everything of ours from the kernel, and nothing else',
  args: [],
  options: [JSON_OPTION, CGROUP_ROOT_OPTION],
  examples: [['cgfw down', 'detaches all programs and removes all pins; nothing is filtered any more']],
  exits: '0 nothing of ours is left, 2 trouble',
  run: async (world, _args, options) => {
    const place = kernelPlace(world, options);
    const lock = await lockWriter(place);
    try {
      const links = entriesOf(join(place.pinRoot, 'links'));
      // Links first: they are what filters. The rest frees memory.
      removeAllPins(join(place.pinRoot, 'links'));
      removeAllPins(place.pinRoot);
      if (options['json'] === true) printJson(world, { detached: links.length });
      else world.stdout(links.length === 0 ? 'nothing was attached\n' : `detached ${String(links.length)} programs; nothing is filtered any more\n`);
    } finally {
      lock.close();
    }
    return 0;
  },
};
