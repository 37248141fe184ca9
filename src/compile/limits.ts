// What a policy may ask of the tables, and the refusal when it asks for more.

import { CgfwError } from '../base/error.js';
import type { Policy } from '../policy/policy.js';

/** Address classes and service classes are 16 bits; class 0 is one of them. */
export const MAX_CLASSES = 65536;
/** Entries in all classes together: they travel as JSON beside the tables. */
export const MAX_MEMBERSHIPS = 1 << 23;
/** 64 MiB in each slot. */
export const MAX_RANGES4 = 1 << 24;
/** 64 MiB in each slot. */
export const MAX_RANGES6 = 1 << 22;
/** Boundaries inside one /64: the kernel's search there takes at most 20 steps. */
export const MAX_LOWER_RANGES = 1 << 20;
/** Cells are 16 bits and number the default and the unparsable rule as well. */
export const MAX_RULES = 65533;
/** Verdict cells of one direction: 64 MiB. */
export const MAX_DIRECTION_CELLS = 1 << 25;
/** The whole cells heap: 128 MiB in each slot. */
export const MAX_CELLS = 1 << 26;

/** Where in the policy a limit was met. */
export interface Place {
  readonly policy: Policy;
  readonly line: number;
}

/**
 * The refusal of a policy that is valid but does not fit: an `invalid-policy`
 * error with one `too-big` diagnostic, pointing at a line when one is to blame.
 */
export function tooBig(message: string, fix: string, place?: Place): CgfwError {
  const at = place === undefined ? undefined : positionOf(place);
  const diagnostic = { severity: 'error', code: 'too-big', message, fix } as const;
  return new CgfwError(message, {
    code: 'invalid-policy',
    fix,
    diagnostics: [at === undefined ? diagnostic : { ...diagnostic, at }],
  });
}

function positionOf({ policy, line }: Place) {
  const text = policy.text.split('\n', line)[line - 1];
  if (text === undefined) return undefined;
  const column = text.length - text.trimStart().length + 1;
  return { file: policy.origin, line, column, length: Math.max(1, text.trim().length), text };
}

/** A figure as people read it: 65,535. */
export function figure(value: number): string {
  return value.toLocaleString('en-US');
}
