import { join } from 'node:path';
import { explainFile, explainLoaded } from '../../agent/explain.js';
import type { Explanation, Step, Subject } from '../../agent/explain.js';
import { CgfwError } from '../../base/error.js';
import { cgroupId } from '../../kernel/cgroups.js';
import { listInterfaces } from '../../kernel/native.js';
import type { Place } from '../../kernel/place.js';
import { CGROUP_ROOT_OPTION, JSON_OPTION, printJson, textOption } from '../command.js';
import type { Options, Verb } from '../command.js';
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
    ['--cgroup <path>', 'path of the cgroup below the cgroup2 mount'],
    ['--interface <name>', 'a network interface instead of a cgroup; only ingress'],
    ['--policy <file>', 'ask this file instead of the loaded policy'],
    JSON_OPTION,
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    [
      'cgfw explain --cgroup system.slice/nginx.service egress tcp 1.2.3.4:443',
      'asks the loaded classifier, in the kernel',
    ],
    [
      'cgfw explain --interface eth0 ingress tcp 1.2.3.4:22',
      'what happens to a frame from 1.2.3.4 to our port 22',
    ],
    [
      'cgfw explain --cgroup cgfw-demo --policy new.yaml ingress udp [fd00::1]:53',
      'asks a file that is not loaded',
    ],
  ],
  exits: '0 allow, 1 deny, 2 trouble',
  run: (world, args, options) => {
    const [direction = '', protocol = '', remote = ''] = args;
    const subject = subjectOf(options, direction);
    const packet = parsePacket(direction, protocol, remote);
    const file = textOption(options, 'policy');
    const found =
      file === undefined
        ? explainLoaded(kernelPlace(world, options), subject, packet)
        : explainFile(validPolicy(world, readPolicyArgument(world, [file])), subject, packet);
    if (options['json'] === true) printJson(world, found);
    else world.stdout(render(found, `${direction} ${protocol} ${remote}`, nameOf(subject)));
    if (file === undefined) warnOfAbsence(world, kernelPlace(world, options), subject);
    return found.verdict === 'allow' ? 0 : 1;
  },
};

/** A slip of the pen should not look like an answer. */
function warnOfAbsence(world: World, place: Place, { cgroup, interface: name }: Subject): void {
  const isThere =
    cgroup === undefined
      ? listInterfaces().some((device) => device.name === name)
      : cgroupId(join(place.cgroupRoot, cgroup)) !== null;
  if (isThere) return;
  const what = cgroup === undefined ? `interface ${name}` : `cgroup ${cgroup}`;
  world.stderr(`cgfw: there is no ${what} now; this is what it would meet\n`);
}

/** Exactly one of a cgroup and an interface. */
function subjectOf(options: Options, direction: string): Subject {
  const cgroup = textOption(options, 'cgroup')?.replace(/^\/+|\/+$/g, '') ?? '';
  const name = textOption(options, 'interface') ?? '';
  if ((cgroup === '') === (name === '')) {
    throw new CgfwError(
      cgroup === '' ? '--cgroup is missing' : '--cgroup and --interface exclude each other',
      {
        code: 'usage',
        fix: 'name a cgroup, such as --cgroup cgfw-demo, or an interface, such as --interface eth0',
      },
    );
  }
  if (name === '') return { cgroup };
  if (direction === 'ingress') return { interface: name };
  throw new CgfwError(`policies of interfaces say nothing about ${direction}`, {
    code: 'usage',
    fix: 'ask about ingress, or about a cgroup with --cgroup',
  });
}

const nameOf = (subject: Subject | Step): string =>
  subject.cgroup ?? `interface ${subject.interface ?? ''}`;

function render(found: Explanation, packet: string, subject: string): string {
  const asked = found.source === 'kernel' ? 'the loaded policy' : (found.file ?? 'the file');
  if (found.chain.length === 0)
    return `allow  ${packet}\n  no policy is about ${subject} (asked ${asked})\n`;
  const watching = found.mode === 'audit' ? '  (audit: decided, but let pass)' : '';
  const lines = found.chain.map(
    (step) =>
      `  ${step.verdict.padEnd(6)}  ${nameOf(step)}: ${step.policy} ${found.direction}#${step.rule} (${found.file ?? ''}:${String(step.line)}) ${step.summary}`,
  );
  return `${found.verdict}  ${packet}${watching}\n${lines.join('\n')}\n`;
}
