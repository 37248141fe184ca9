// From a compiled policy and the cgroups that exist to the state that ought to be.

import type { CgroupPolicy } from '../policy/policy.js';
import { ownerOf } from '../policy/selector.js';
import { chooseCapacity, neededCapacity } from './capacity.js';
import { encodeBlob } from './blob.js';
import type { Program } from './program.js';
import { compareAttachments, HOOKS } from './state.js';
import type { Attachment, Cgroup, State } from './state.js';

export interface Surroundings {
  readonly cgroups: readonly Cgroup[];
  /** Build of the program files on disk (ProgramSet.build). */
  readonly build: string;
}

/**
 * The state in which `program` is in force for every cgroup of `surroundings`
 * that a policy selects. Keeps the loaded tables' capacity where it suffices.
 */
export function desire(
  program: Program,
  policies: readonly CgroupPolicy[],
  surroundings: Surroundings,
  loaded: State,
): State {
  const attachments: Attachment[] = [];
  for (const { id, path } of surroundings.cgroups) {
    const owner = ownerOf(policies, path);
    if (owner === null) continue;
    attachments.push({ id, path, policy: owner + 1, hooks: HOOKS, outdated: [] });
  }
  const needed = neededCapacity(program, encodeBlob(program).length);
  return {
    programs: {
      build: surroundings.build,
      capacity: chooseCapacity(needed, loaded.programs?.capacity ?? null),
    },
    generation: loaded.generation,
    program,
    attachments: attachments.sort(compareAttachments),
    leftovers: [],
  };
}
