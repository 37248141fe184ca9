import { readState } from '../../kernel/read.js';
import { CgfwError } from '../../base/error.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { kernelPlace } from '../prepare.js';

export const show: Verb = {
  name: 'show',
  summary: 'print the policy that is in force, as YAML, from the kernel',
  args: [],
  options: [JSON_OPTION, CGROUP_ROOT_OPTION],
  examples: [
    ['cgfw show', 'prints the text that was loaded, comments included'],
    [
      'cgfw show > policy.new && mv policy.new /etc/cgfw/policy.yaml',
      'gets the file back when it is lost (set files are not part of it)',
    ],
  ],
  exits: '0, 2 trouble or nothing loaded',
  run: (world, _args, options) => {
    const place = kernelPlace(world, options);
    const { program, generation } = readState(place, [], 'names-only');
    if (program === null) {
      throw new CgfwError('no policy is loaded', {
        code: 'not-loaded',
        fix: 'load one: cgfw apply',
      });
    }
    const { hash, origin } = program.names;
    if (options['json'] === true) {
      printJson(world, { generation, policyHash: hash, file: origin, text: program.text });
    } else world.stdout(program.text.endsWith('\n') ? program.text : `${program.text}\n`);
    return 0;
  },
};
