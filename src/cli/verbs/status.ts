import { existsSync } from 'node:fs';
import { inspect } from '../../agent/inspect.js';
import type { Declared } from '../../agent/inspect.js';
import { guardsOf } from '../../agent/guard.js';
import { renderStatus } from '../../report/status.js';
import {
  CGROUP_ROOT_OPTION,
  DEFAULT_POLICY,
  JSON_OPTION,
  POLICY_ARGUMENT,
  printJson,
} from '../command.js';
import type { Verb } from '../command.js';
import { kernelPlace, readPolicyArgument } from '../prepare.js';
import type { World } from '../world.js';

export const status: Verb = {
  name: 'status',
  summary: 'show what is in force: policies, cgroups, rules with counters, lost events',
  args: [POLICY_ARGUMENT],
  options: [JSON_OPTION, CGROUP_ROOT_OPTION],
  examples: [
    ['cgfw status', 'reads the kernel; no agent and no file are needed'],
    ['cgfw status --json | jq .events', 'how many events were suppressed or lost'],
  ],
  exits: '0 as declared, 1 not (differs from the file, or a cgroup is not covered), 2 trouble',
  run: (world, args, options) => {
    const place = kernelPlace(world, options);
    const found = inspect(place, declaredBy(world, args));
    if (options['json'] === true) printJson(world, found);
    else world.stdout(renderStatus(found));
    return found.asDeclared ? 0 : 1;
  },
};

/** The file if there is one; without any, what is loaded counts as declared. */
function declaredBy(world: World, args: readonly string[]): Declared {
  if (args[0] === undefined && !existsSync(DEFAULT_POLICY)) return { policy: null, guards: [] };
  const reading = readPolicyArgument(world, args);
  const guards = guardsOf(reading.sets);
  if (reading.policy !== undefined) return { policy: reading.policy, guards };
  const [first, ...more] = reading.diagnostics.filter(({ severity }) => severity === 'error');
  const [file] = reading.files;
  const trouble =
    more.length === 0 && first?.at === undefined && first !== undefined
      ? first.message
      : `the policy file ${file ?? ''} is not valid: see cgfw check`;
  return { policy: null, guards, trouble };
}
