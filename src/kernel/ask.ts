// Asks the loaded classifier, in the kernel, what it would decide.

import { action, question as at } from '../abi/layout.gen.js';
import { CgfwError } from '../base/error.js';
import type { LoadedSet } from './set.js';

export interface Question {
  /** Index in the policies table, from 1. */
  readonly policy: number;
  readonly direction: 'egress' | 'ingress';
  readonly family: 4 | 6;
  /** Remote address, four words; IPv4 in the first. */
  readonly words: ArrayLike<number>;
  /** Service point (abi/points.ts). */
  readonly point: number;
}

export interface Answer {
  /** Index in Names.rules. */
  readonly rule: number;
  readonly action: 'allow' | 'drop' | 'reject';
  readonly generation: number;
}

const ACTIONS = new Map<number, Answer['action']>([
  [action.ACTION_ALLOW, 'allow'],
  [action.ACTION_DROP, 'drop'],
  [action.ACTION_REJECT, 'reject'],
]);

/** Runs the explain program once; a switch in between shows in `generation`. */
export function ask(set: LoadedSet, question: Question): Answer {
  const view = new DataView(new ArrayBuffer(at.size));
  view.setUint32(at.policy, question.policy, true);
  view.setUint32(at.direction, question.direction === 'egress' ? 0 : 1, true);
  view.setUint32(at.family, question.family, true);
  view.setUint32(at.point, question.point, true);
  for (let i = 0; i < 4; i++) view.setUint32(at.address + 4 * i, question.words[i] ?? 0, true);
  const { retval, ctx } = set.program('explain').testRun({ ctx: new Uint8Array(view.buffer) });
  if (retval !== 0) {
    throw new CgfwError('the loaded classifier has no policy in force', {
      code: 'not-loaded',
      fix: 'load one: cgfw apply, or ask a file with --policy FILE',
    });
  }
  const answer = new DataView(ctx.buffer, ctx.byteOffset);
  return {
    rule: answer.getUint32(at.rule, true),
    action: ACTIONS.get(answer.getUint32(at.action, true)) ?? 'drop',
    generation: Number(answer.getBigUint64(at.generation, true)),
  };
}
