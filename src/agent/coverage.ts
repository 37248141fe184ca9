// Whether cgroups that came or went are any of ours: a look at names, not at tables.

import { ownedCgroups } from '../compile/owners.js';
import type { Program } from '../compile/program.js';
import type { Attachment } from '../compile/state.js';
import { listCgroups } from '../kernel/cgroups.js';
import type { Place } from '../kernel/place.js';
import type { Outcome } from './reconcile.js';

/** Who is attached, and by which selectors. */
export interface Coverage {
  readonly policies: Program['names']['policies'];
  readonly attachments: readonly Attachment[];
}

/** null: the last look left something to do, so that the next must be a whole one. */
export function coverageOf({ program, remaining, trial, failures, state }: Outcome): Coverage | null {
  if (!remaining.inStep || trial !== null || failures.length > 0) return null;
  return { policies: program?.names.policies ?? [], attachments: state.attachments };
}

/** True when the very cgroups that exist now and are selected are the attached ones. */
export function isCovered(place: Place, { policies, attachments }: Coverage): boolean {
  const attached = new Map(attachments.map(({ id, policy }) => [id, policy]));
  const wanted = ownedCgroups(policies, listCgroups(place.cgroupRoot)).filter(({ via }) => via === null);
  return wanted.length === attached.size && wanted.every(({ id, policy }) => attached.get(id) === policy);
}
