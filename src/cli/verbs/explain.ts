import { join } from 'node:path';
import { explainFile, explainLoaded } from '../../agent/explain.js';
import type { Explanation } from '../../agent/explain.js';
import { CgfwError } from '../../base/error.js';
import { cgroupId } from '../../kernel/cgroups.js';
import type { Place } from '../../kernel/place.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson, textOption } from '../command.js';
import type { Verb } from '../command.js';
import { parsePacket } from '../packet.js';
import type { World } from '../world.js';
import { kernelPlace, readPolicyArgument, validPolicy } from '../prepare.js';

export const explain: Verb = {
  name: 'explain',
  summary: 'say which policy, rule and line decides about a packet, and why',
  args: [
    ['<direction>', 'egress or ingress'],
    ['<protocol>', 'tcp, udp, sctp, icmp/TYPE, icmpv6/TYPE, gre, proto/47 ...'],
    ['<remote>', 'remote address; with the destination port for tcp, udp and sctp'],
  ],
  options: [
    ['--cgroup <path>', 'path of the cgroup below the cgroup2 mount (required)'],
    ['--policy <file>', 'ask this file instead of the loaded policy'],
    JSON_OPTION,
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw explain --cgroup system.slice/nginx.service egress tcp 1.2.3.4:443', 'asks the loaded classifier, in the kernel'],
    ['cgfw explain --cgroup cgfw-demo --policy new.yaml ingress udp [fd00::1]:53', 'asks a file that is not loaded'],
  ],
  exits: '0 allow, 1 deny, 2 trouble',
  run: (world, args, options) => {
    const [direction = '', protocol = '', remote = ''] = args;
    const cgroup = textOption(options, 'cgroup')?.replace(/^\/+|\/+$/g, '');
    if (cgroup === undefined || cgroup === '') {
      throw new CgfwError('--cgroup is missing', { code: 'usage', fix: 'name the cgroup, such as --cgroup cgfw-demo' });
    }
    const packet = parsePacket(direction, protocol, remote);
    const file = textOption(options, 'policy');
    const found =
      file === undefined
        ? explainLoaded(kernelPlace(world, options), cgroup, packet)
        : explainFile(validPolicy(world, readPolicyArgument(world, [file])), cgroup, packet);
    if (options['json'] === true) printJson(world, found);
    else world.stdout(render(found, `${direction} ${protocol} ${remote}`, cgroup));
    if (file === undefined) warnOfAbsence(world, kernelPlace(world, options), cgroup);
    return found.verdict === 'allow' ? 0 : 1;
  },
};

/** A slip of the pen should not look like an answer. */
function warnOfAbsence(world: World, place: Place, cgroup: string): void {
  if (cgroupId(join(place.cgroupRoot, cgroup)) !== null) return;
  world.stderr(`cgfw: there is no cgroup ${cgroup} now; this is what it would meet\n`);
}

function render(found: Explanation, packet: string, cgroup: string): string {
  const asked = found.source === 'kernel' ? 'the loaded policy' : (found.file ?? 'the file');
  if (found.chain.length === 0) return `allow  ${packet}\n  no policy is about ${cgroup} (asked ${asked})\n`;
  const watching = found.mode === 'audit' ? '  (audit: decided, but let pass)' : '';
  const lines = found.chain.map(
    (step) => `  ${step.verdict.padEnd(6)}  ${step.cgroup}: ${step.policy} ${found.direction}#${step.rule} (${found.file ?? ''}:${String(step.line)}) ${step.summary}`,
  );
  return `${found.verdict}  ${packet}${watching}\n${lines.join('\n')}\n`;
}
