// Which policies, rules and lines decide about a packet of a cgroup.

import { CgfwError } from '../base/error.js';
import { compile } from '../compile/compile.js';
import { verdictOf } from '../compile/lookup.js';
import { interfacePolicyIndex, policyOfRule } from '../compile/program.js';
import { ownedCgroups } from '../compile/owners.js';
import type { Names, Program } from '../compile/program.js';
import { ask } from '../kernel/ask.js';
import { cgroupId } from '../kernel/cgroups.js';
import { chainOf } from '../kernel/conflict.js';
import { readInterfaceOwner } from '../kernel/interface-table.js';
import { listInterfaces } from '../kernel/native.js';
import { readOwner } from '../kernel/owners.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import type { LoadedSet } from '../kernel/set.js';
import { readSlot } from '../kernel/slot.js';
import { interfaceOwner } from '../policy/interfaces.js';
import type { Action, Policy } from '../policy/policy.js';
import { join } from 'node:path';

export interface Packet {
  readonly direction: 'egress' | 'ingress';
  readonly family: 4 | 6;
  readonly words: ArrayLike<number>;
  readonly point: number;
}

/** Whose packet it is. */
export type Subject =
  | { readonly cgroup: string; readonly interface?: undefined }
  | { readonly interface: string; readonly cgroup?: undefined };

export interface Step {
  readonly cgroup?: string | undefined;
  readonly interface?: string | undefined;
  readonly policy: string;
  readonly mode: string;
  readonly verdict: Action;
  readonly rule: string;
  readonly line: number;
  readonly summary: string;
}

export interface Explanation {
  readonly verdict: Action;
  readonly policy: string | null;
  readonly direction: 'egress' | 'ingress';
  readonly rule: string | null;
  readonly line: number | null;
  readonly file: string | null;
  /** Present when the deciding policy only watches: the packet passes all the same. */
  readonly mode?: 'audit';
  /** Every policy on the way from the cgroup to the root, all of which must allow; or that of the interface. */
  readonly chain: readonly Step[];
  readonly source: 'kernel' | 'file';
}

/**
 * Asks the loaded classifier, in the kernel. A cgroup or interface that does not
 * exist is judged as it would be. Throws `not-loaded` when nothing is in force.
 */
export function explainLoaded(place: Place, subject: Subject, packet: Packet): Explanation {
  const set = openCurrentSet(place.pinRoot);
  try {
    // A switch between reading the names and asking makes the answer another's.
    for (;;) {
      const generation = set?.generation ?? 0;
      if (set === null || generation === 0) throw nothingLoaded();
      const answer = explainGeneration(place, set, generation, subject, packet);
      if (set.generation === generation) return answer;
    }
  } finally {
    set?.close();
  }
}

function nothingLoaded(): CgfwError {
  return new CgfwError('no policy is loaded', {
    code: 'not-loaded',
    fix: 'load one: cgfw apply; or ask a file: cgfw explain --policy FILE ...',
  });
}

function explainGeneration(
  place: Place,
  set: LoadedSet,
  generation: number,
  subject: Subject,
  packet: Packet,
): Explanation {
  // Before Linux 5.14 no program can be asked: the loaded tables are read instead.
  const canAsk = set.has('explain');
  const depth = canAsk ? 'names-only' : 'whole';
  const { names, tables } = readSlot(set.maps, set.capacity, generation, depth);
  const { direction, family, words, point } = packet;
  const chain = ownersOf(place, set, generation, names, subject).map(([owner, policy]) => {
    const rule = canAsk
      ? ask(set, { policy, ...packet }).rule
      : verdictOf(tables, policy, direction, family, words, point);
    return stepOf(names, owner, rule);
  });
  return conclude(packet, chain, names.origin, 'kernel');
}

/** Who judges, nearest first, and by which policy of the table: what the kernel has, or would have. */
function ownersOf(
  place: Place,
  set: LoadedSet,
  generation: number,
  names: Names,
  subject: Subject,
): (readonly [Subject, number])[] {
  const slot = generation & 1;
  const wouldBe = selectedBy(names, subject);
  if (subject.interface !== undefined) {
    const device = listInterfaces().find(({ name }) => name === subject.interface);
    if (device === undefined) return wouldBe;
    const policy = readInterfaceOwner(set.maps.interfaces, device.ifindex, slot);
    return policy === 0 ? [] : [[subject, policy]];
  }
  return chainOf(subject.cgroup).flatMap((path): (readonly [Subject, number])[] => {
    if (path === '') return [];
    const id = cgroupId(join(place.cgroupRoot, path));
    if (id === null) return wouldBe.filter(([owner]) => owner.cgroup === path);
    const policy = readOwner(set.maps.owners, id, slot);
    return policy === null || policy === 0 ? [] : [[{ cgroup: path }, policy]];
  });
}

/** Asks a policy that is not loaded, by the same tables in user space. */
export function explainFile(policy: Policy, subject: Subject, packet: Packet): Explanation {
  const program: Program = compile(policy, new Map());
  const { direction, family, words, point } = packet;
  const chain = selectedBy(policy, subject).map(([owner, index]) =>
    stepOf(program.names, owner, verdictOf(program.tables, index, direction, family, words, point)),
  );
  return conclude(packet, chain, policy.origin, 'file');
}

/** The policies whose selectors match, nearest first, by their index in the table. */
function selectedBy(
  { policies, interfaces }: Pick<Names, 'policies' | 'interfaces'> | Policy,
  subject: Subject,
): (readonly [Subject, number])[] {
  if (subject.interface !== undefined) {
    const index = interfaceOwner(interfaces, subject.interface);
    return index < 0 ? [] : [[subject, interfacePolicyIndex({ policies }, index)]];
  }
  const cgroups = chainOf(subject.cgroup)
    .filter((path) => path !== '')
    .map((path) => ({ path, id: 0 }));
  return ownedCgroups(policies, cgroups)
    .filter(({ via }) => via === null)
    .map(({ path, policy: index }) => [{ cgroup: path }, index]);
}

function stepOf(names: Names, subject: Subject, index: number): Step {
  const rule = names.rules[index];
  const policy = rule === undefined ? undefined : policyOfRule(names, rule);
  return {
    ...subject,
    policy: policy?.name ?? '?',
    mode: policy?.mode ?? 'enforce',
    verdict: rule?.action ?? 'drop',
    rule: rule?.name ?? '?',
    line: rule?.line ?? 0,
    summary: rule?.summary ?? '',
  };
}

/** The nearest policy that stops the packet decides; else one that would, if it only watches; else the nearest. */
function conclude(
  packet: Packet,
  chain: readonly Step[],
  file: string,
  source: 'kernel' | 'file',
): Explanation {
  const denying = chain.filter(({ verdict }) => verdict !== 'allow');
  const decider = denying.find(({ mode }) => mode === 'enforce') ?? denying[0] ?? chain[0];
  return {
    verdict: decider?.verdict ?? 'allow',
    policy: decider?.policy ?? null,
    direction: packet.direction,
    rule: decider?.rule ?? null,
    line: decider?.line ?? null,
    file: decider === undefined ? null : file,
    ...(decider?.mode === 'audit' ? { mode: 'audit' as const } : {}),
    chain,
    source,
  };
}
