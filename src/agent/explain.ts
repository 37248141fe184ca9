// Which policies, rules and lines decide about a packet of a cgroup.

import { CgfwError } from '../base/error.js';
import { compile } from '../compile/compile.js';
import { verdictOf } from '../compile/lookup.js';
import { ownedCgroups } from '../compile/owners.js';
import type { Names, Program } from '../compile/program.js';
import { ask } from '../kernel/ask.js';
import { cgroupId } from '../kernel/cgroups.js';
import { chainOf } from '../kernel/conflict.js';
import { readOwner } from '../kernel/owners.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import type { LoadedSet } from '../kernel/set.js';
import { readSlot } from '../kernel/slot.js';
import type { Action, Policy } from '../policy/policy.js';
import { join } from 'node:path';

export interface Packet {
  readonly direction: 'egress' | 'ingress';
  readonly family: 4 | 6;
  readonly words: ArrayLike<number>;
  readonly point: number;
}

export interface Step {
  readonly cgroup: string;
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
  /** Every policy on the way from the cgroup to the root; all must allow. */
  readonly chain: readonly Step[];
  readonly source: 'kernel' | 'file';
}

/**
 * Asks the loaded classifier, in the kernel. A cgroup that does not exist is
 * judged as it would be. Throws `not-loaded` when nothing is in force.
 */
export function explainLoaded(place: Place, cgroup: string, packet: Packet): Explanation {
  const set = openCurrentSet(place.pinRoot);
  try {
    // A switch between reading the names and asking makes the answer another's.
    for (;;) {
      const generation = set?.generation ?? 0;
      if (set === null || generation === 0) throw nothingLoaded();
      const answer = explainGeneration(place, set, generation, cgroup, packet);
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
  cgroup: string,
  packet: Packet,
): Explanation {
  // Before Linux 5.14 no program can be asked: the loaded tables are read instead.
  const canAsk = set.has('explain');
  const depth = canAsk ? 'names-only' : 'whole';
  const { names, tables } = readSlot(set.maps, set.capacity, generation, depth);
  const { direction, family, words, point } = packet;
  const chain = ownersOf(place, set, generation, names, cgroup).map(({ path, policy }) => {
    const rule = canAsk
      ? ask(set, { policy, ...packet }).rule
      : verdictOf(tables, policy, direction, family, words, point);
    return stepOf(names, path, rule);
  });
  return conclude(packet, chain, names.origin, 'kernel');
}

/** Who judges, from the cgroup to the root: what the kernel has, or would have for one that is not there. */
function ownersOf(
  place: Place,
  set: LoadedSet,
  generation: number,
  names: Names,
  cgroup: string,
): { readonly path: string; readonly policy: number }[] {
  const chain = chainOf(cgroup).filter((path) => path !== '');
  const selected = ownedCgroups(names.policies, chain.map((path) => ({ path, id: 0 })));
  const wouldBe = new Map(selected.filter(({ via }) => via === null).map(({ path, policy }) => [path, policy]));
  return chain.flatMap((path) => {
    const id = cgroupId(join(place.cgroupRoot, path));
    const policy =
      id === null ? wouldBe.get(path) : readOwner(set.maps.owners, id, generation & 1);
    return policy === undefined || policy === null || policy === 0 ? [] : [{ path, policy }];
  });
}

/** Asks a policy that is not loaded, by the same tables in user space. */
export function explainFile(policy: Policy, cgroup: string, packet: Packet): Explanation {
  const program: Program = compile(policy, new Map());
  const cgroups = chainOf(cgroup).filter((path) => path !== '').map((path) => ({ path, id: 0 }));
  const { direction, family, words, point } = packet;
  const chain = ownedCgroups(policy.policies, cgroups)
    .filter(({ via }) => via === null)
    .map(({ path, policy: index }) =>
      stepOf(program.names, path, verdictOf(program.tables, index, direction, family, words, point)),
    );
  return conclude(packet, chain, policy.origin, 'file');
}

function stepOf(names: Names, cgroup: string, index: number): Step {
  const rule = names.rules[index];
  const policy = rule === undefined ? undefined : names.policies[rule.policy];
  return {
    cgroup,
    policy: policy?.name ?? '?',
    mode: policy?.mode ?? 'enforce',
    verdict: rule?.action ?? 'drop',
    rule: rule?.name ?? '?',
    line: rule?.line ?? 0,
    summary: rule?.summary ?? '',
  };
}

/** The nearest policy that stops the packet decides; else one that would, if it only watches; else the nearest. */
function conclude(packet: Packet, chain: readonly Step[], file: string, source: 'kernel' | 'file'): Explanation {
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
