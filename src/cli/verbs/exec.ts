import { accessSync, constants, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { prospect } from '../../agent/prospect.js';
import { reconcile } from '../../agent/reconcile.js';
import { CgfwError } from '../../base/error.js';
import { ownedCgroups } from '../../compile/owners.js';
import { exec as replaceProcess } from '../../kernel/native.js';
import type { Place } from '../../kernel/place.js';
import { parseSelector } from '../../policy/selector.js';
import { CGROUP_ROOT_OPTION, textOption } from '../command.js';
import type { Verb } from '../command.js';
import { kernelPlace } from '../prepare.js';
import type { World } from '../world.js';

export const exec: Verb = {
  name: 'exec',
  summary: 'run a command inside a cgroup, which is made if it does not exist',
  args: [['<command...>', 'the command and its arguments']],
  options: [
    ['--cgroup <path>', 'path of the cgroup below the cgroup2 mount (required)'],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    [
      'cgfw exec --cgroup cgfw-demo -- curl http://198.51.100.7/',
      'runs curl under the policy of cgfw-demo',
    ],
    [
      'cgfw exec --cgroup cgfw-demo -- bash',
      'a shell; everything started in it is under that policy',
    ],
  ],
  exits: "the command's own; 2 when it could not be started",
  run: async (world, args, options) => {
    const place = kernelPlace(world, options);
    const cgroup = cgroupOption(textOption(options, 'cgroup'));
    const [command] = args;
    const file = command === undefined ? null : findCommand(command, world.env['PATH'] ?? '');
    if (command === undefined || file === null) {
      throw new CgfwError(`there is no command ${command ?? ''}`, {
        code: 'usage',
        fix: 'check its name, or give its whole path',
      });
    }
    const folder = join(place.cgroupRoot, cgroup);
    mkdirSync(folder, { recursive: true });
    await cover(world, place, cgroup);
    writeFileSync(join(folder, 'cgroup.procs'), String(process.pid));
    replaceProcess(file, args, world.env);
  },
};

function cgroupOption(text: string | undefined): string {
  if (text === undefined) {
    throw new CgfwError('--cgroup is missing', {
      code: 'usage',
      fix: 'name the cgroup, such as --cgroup cgfw-demo',
    });
  }
  const parsed = parseSelector(text);
  if (parsed.kind === 'selector' && !/[*?]/.test(parsed.text)) return parsed.text;
  const message = parsed.kind === 'bad' ? parsed.message : `${parsed.text} is a pattern`;
  throw new CgfwError(`--cgroup: ${message}`, {
    code: 'usage',
    fix: 'name one cgroup, such as --cgroup cgfw-demo',
  });
}

/** Attaches a new cgroup before the command's first packet, and says when no policy is about it. */
async function cover(world: World, place: Place, cgroup: string): Promise<void> {
  const found = prospect(place, null, { guards: [] });
  const owned = ownedCgroups(found.program?.names.policies ?? [], found.cgroups);
  const isOwned = owned.some(({ path }) => path === cgroup);
  if (found.program === null)
    world.stderr('cgfw: no policy is loaded; the command runs unfiltered\n');
  else if (!isOwned)
    world.stderr(`cgfw: no policy selects ${cgroup}; only those of its ancestors apply\n`);
  else if (found.plan.actions.some(({ op }) => op === 'attach')) {
    await reconcile(place, null, { guards: [] });
  }
}

function findCommand(command: string, path: string): string | null {
  if (command.includes('/')) return isExecutable(command) ? command : null;
  for (const folder of path.split(delimiter)) {
    const file = join(folder === '' ? '.' : folder, command);
    if (isExecutable(file)) return file;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
