// What the agent's log says about a reconcile.

import type { Logger } from '../report/log.js';
import { renderSummary } from '../plan/render.js';
import type { Cause } from './agent.js';
import type { Outcome } from './reconcile.js';

export interface Story {
  readonly id: number;
  readonly causes: readonly Cause[];
  readonly outcome: Outcome;
}

/** One line for what changed, and one for each thing that is not enforced. */
export function logOutcome(log: Logger, { id, causes, outcome }: Story): void {
  const { plan, state } = outcome;
  for (const held of outcome.held) {
    log.warn(
      { reconcile: id, set: held.set, add: held.add, remove: held.remove, guard: held.share, fix: 'check the file; cgfw apply --force takes it' },
      'a set file changes more than its guard allows; the loaded list stays in force',
    );
  }
  for (const { action, error } of outcome.failures) {
    log.error({ reconcile: id, op: action.op, target: action.target, code: error.code, fix: error.fix }, error.message);
  }
  if (plan.inStep) {
    if (causes.includes('start')) log.info(enforced(id, outcome), 'the loaded policy is in step; adopted as it is');
    return;
  }
  const drift = !plan.actions.some((action) => action.op === 'fill');
  const fields = { ...enforced(id, outcome), causes, changes: renderSummary(plan), actions: plan.actions.length };
  log.info(fields, drift ? 'attachments brought into step' : `policy in force as generation ${String(state.generation)}`);
}

function enforced(id: number, { state, program }: Outcome) {
  const policies = program?.names.policies ?? [];
  const waiting = waitingPolicies(policies, state.attachments.map((attachment) => attachment.policy));
  return {
    reconcile: id,
    generation: state.generation,
    hash: program?.names.hash.slice(0, 12) ?? null,
    policies: policies.length,
    cgroups: state.attachments.length,
    ...(waiting.length === 0 ? {} : { waiting }),
  };
}

/** Policies that no cgroup belongs to yet, by name. */
function waitingPolicies(
  policies: readonly { readonly name: string }[],
  owners: readonly number[],
): string[] {
  return policies.filter((_, index) => !owners.includes(index + 1)).map(({ name }) => name);
}
