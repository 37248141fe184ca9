// From a compiled policy and the cgroups that exist to the state that ought to be.

import { chooseCapacity, neededCapacity } from './capacity.js';
import { blobOf } from './blob.js';
import { ownedCgroups } from './owners.js';
import { interfaceOwner } from '../policy/interfaces.js';
import { interfacePolicyIndex } from './program.js';
import type { Program } from './program.js';
import { TEXT_HEADER } from './tables.js';
import type { Capacity } from './tables.js';
import { BASE_HOOKS, compareAttachments, compareInterfaces, HOOKS } from './state.js';
import type { Attachment, Cgroup, Hook, Interface, InterfaceAttachment, State } from './state.js';

export interface Surroundings {
  readonly cgroups: readonly Cgroup[];
  readonly interfaces: readonly Interface[];
  /** Build of the program files on disk (ProgramSet.build). */
  readonly build: string;
  /** Whether this kernel can accelerate; asked only where a policy wants it. */
  readonly canAccelerate: () => boolean;
}

/**
 * The state in which `program` is in force for every cgroup of `surroundings`
 * that a policy selects. Keeps the loaded tables' capacity where it suffices.
 */
export function desire(program: Program, surroundings: Surroundings, loaded: State): State {
  const needed = needs(program, surroundings);
  const hooksOf = (policy: number): readonly Hook[] =>
    needed.acceleration > 0 && program.names.policies[policy - 1]?.accelerate === true
      ? HOOKS
      : BASE_HOOKS;
  const attachments: Attachment[] = ownedCgroups(program.names.policies, surroundings.cgroups)
    .filter(({ via }) => via === null)
    .map(({ id, path, policy }) => ({ id, path, policy, hooks: hooksOf(policy), outdated: [] }));
  attachments.push(...lingering(program, loaded));
  return {
    programs: {
      folder: '',
      build: surroundings.build,
      capacity: chooseCapacity(needed, loaded.programs?.capacity ?? null),
    },
    generation: loaded.generation,
    program,
    attachments: attachments.sort(compareAttachments),
    interfaces: wantedInterfaces(program, surroundings.interfaces, loaded),
    leftovers: [],
  };
}

/** A kernel that cannot accelerate still enforces: `status` says what is missing. */
function needs(program: Program, { canAccelerate }: Surroundings): Capacity {
  const needed = neededCapacity(program, TEXT_HEADER + blobOf(program).length);
  return needed.acceleration > 0 && !canAccelerate() ? { ...needed, acceleration: 0 } : needed;
}

/**
 * Cgroups that are gone from the tree but still have open sockets: they keep the
 * policy of the same name, for as long as there is one.
 */
function lingering(program: Program, loaded: State): Attachment[] {
  return loaded.attachments.flatMap((attachment) => {
    if (!attachment.path.startsWith('#')) return [];
    const name = loaded.program?.names.policies[attachment.policy - 1]?.name;
    const index = program.names.policies.findIndex((policy) => policy.name === name);
    if (index < 0) return [];
    return [{ ...attachment, policy: index + 1, outdated: [] }];
  });
}

/** A mode that the policy accepts is kept: changing it would leave the interface open for a moment. */
function wantedInterfaces(
  program: Program,
  interfaces: readonly Interface[],
  loaded: State,
): InterfaceAttachment[] {
  const { names } = program;
  const modes = new Map(loaded.interfaces.map(({ ifindex, mode }) => [ifindex, mode]));
  return interfaces
    .flatMap(({ ifindex, name, heldBy }): InterfaceAttachment[] => {
      const index = interfaceOwner(names.interfaces, name);
      const attach = names.interfaces[index]?.attach;
      if (attach === undefined) return [];
      const mode = attach === 'auto' ? (modes.get(ifindex) ?? null) : attach;
      const policy = interfacePolicyIndex(names, index);
      return [{ ifindex, name, policy, attach, mode, isOutdated: false, heldBy }];
    })
    .sort(compareInterfaces);
}
