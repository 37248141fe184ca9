// What the agent's log says about a reconcile: each thing once.

import type { Diagnostic } from '../base/error.js';
import { secondsLeft } from './trial.js';
import type { Logger } from '../report/log.js';
import { renderSummary } from '../plan/render.js';
import { isInterfaceAction } from '../plan/action.js';
import type { Plan } from '../plan/action.js';
import { renderDiagnostic } from '../policy/render.js';
import { hasErrors } from '../policy/report.js';
import type { Reading } from '../source/policy-file.js';
import type { Cause } from './agent.js';
import type { Held } from './guard.js';
import { Once } from './once.js';
import type { Done, InForce, Trouble } from './steward.js';
import { UNACCELERATED } from './unaccelerated.js';

/** After these, a difference is no surprise. */
const EXPLAINED: ReadonlySet<Cause> = new Set(['start', 'file', 'trial', 'retry']);

export interface Story {
  readonly id: number;
  readonly causes: readonly Cause[];
  readonly outcome: Done;
}

export class Storyteller {
  readonly #log: Logger;
  readonly #once = new Once();
  #isFileBad = false;
  #attached: ReadonlySet<number> = new Set();
  #attachedInterfaces: ReadonlySet<number> = new Set();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** All that is wrong with the file, when that is news; and that it is mended. */
  tellReading(path: string, reading: Pick<Reading, 'diagnostics'>): void {
    const isBad = hasErrors(reading.diagnostics);
    if (this.#once.isNews('file', JSON.stringify(reading.diagnostics))) {
      for (const found of reading.diagnostics) this.#tellDiagnostic(found);
      if (isBad)
        this.#log.error(
          { policy: path },
          'the policy file cannot be used; the last good policy stays in force',
        );
    }
    if (this.#isFileBad && !isBad)
      this.#log.info({ policy: path }, 'the policy file is valid again');
    this.#isFileBad = isBad;
  }

  #tellDiagnostic(found: Diagnostic): void {
    const place =
      found.at === undefined
        ? {}
        : { file: found.at.file, line: found.at.line, column: found.at.column };
    const fields = { code: found.code, ...place, fix: found.fix };
    if (found.severity === 'error') this.#log.error(fields, renderDiagnostic(found));
    else this.#log.warn(fields, found.message);
  }

  /** One line for what changed, and one for each thing that is not enforced. */
  tellOutcome({ id, causes, outcome }: Story): void {
    if (this.#once.settle('trouble')) this.#log.info({ reconcile: id }, 'reconcile works again');
    if (outcome.reverted) {
      this.#log.warn(
        { reconcile: id },
        'the policy on trial was not confirmed; the one before it is in force again',
      );
    }
    this.#tellTrial(id, outcome);
    this.#tellHeld(id, outcome.held);
    this.#tellFailures(id, outcome);
    const { plan, state } = outcome;
    const fields = enforced(id, state);
    if (state.hash !== null) this.#once.settle('nothing');
    else if (this.#once.isNews('nothing', 'in force')) {
      this.#log.warn({ reconcile: id }, 'no policy is in force: nothing is filtered');
    }
    if (!state.isUnaccelerated) this.#once.settle('acceleration');
    else if (this.#once.isNews('acceleration', 'none'))
      this.#log.warn({ reconcile: id }, UNACCELERATED);
    this.#log.debug({ reconcile: id, causes, inStep: plan.inStep }, 'looked');
    if (plan.inStep) {
      this.#remember(state);
      if (causes.includes('start') && state.hash !== null) {
        this.#log.info(fields, 'the loaded policy is in step; adopted as it is');
      }
      return;
    }
    const isDrift = !causes.some((cause) => EXPLAINED.has(cause)) && this.#hasDrifted(plan);
    this.#remember(state);
    if (!hasEffect(outcome)) return;
    const detail = { ...fields, causes, changes: renderSummary(plan), actions: outcome.lines };
    const isSwitch = plan.actions.some((action) => action.op === 'switch');
    if (isDrift) this.#log.warn(detail, 'the kernel had drifted; repaired');
    else if (isSwitch)
      this.#log.info(detail, `policy in force as generation ${String(state.generation)}`);
    else this.#log.info(detail, 'attachments brought into step');
  }

  #remember({ attachments, interfaces }: InForce): void {
    this.#attached = new Set(attachments.map(({ id }) => id));
    this.#attachedInterfaces = new Set(interfaces.map(({ ifindex }) => ifindex));
  }

  /** Only cgroups and interfaces that come and go change a kernel that was in step. */
  #hasDrifted(plan: Plan): boolean {
    const isNew = (id: number): boolean => !this.#attached.has(id);
    return plan.actions.some((action) => {
      if (isInterfaceAction(action))
        return this.#attachedInterfaces.has(action.ifindex) && action.op !== 'detach';
      switch (action.op) {
        case 'attach':
        case 'assign':
          return !isNew(action.id);
        case 'detach':
          return false;
        case 'sweep':
          return !action.target.startsWith('links/');
        default:
          return true;
      }
    });
  }

  #tellTrial(id: number, { trial }: Done): void {
    if (trial === null) {
      if (this.#once.settle('trial')) this.#log.info({ reconcile: id }, 'the trial is over');
    } else if (this.#once.isNews('trial', String(trial.generation))) {
      const fields = {
        reconcile: id,
        generation: trial.generation,
        seconds: secondsLeft(trial),
        fix: 'cgfw confirm keeps it',
      };
      this.#log.warn(fields, 'a policy is on trial; the policy file waits until that is over');
    }
  }

  #tellHeld(id: number, held: readonly Held[]): void {
    for (const { set, add, remove, share } of held) {
      if (!this.#once.isNews(`set ${set}`, `${String(add)} ${String(remove)}`)) continue;
      const fields = {
        reconcile: id,
        set,
        add,
        remove,
        guard: share,
        fix: 'look at the file; if it is right, run cgfw apply --force',
      };
      this.#log.warn(
        fields,
        'a set file changes more than its guard allows; the loaded list stays in force',
      );
    }
    this.#once.settleOthers('set ', new Set(held.map(({ set }) => `set ${set}`)));
  }

  /** A policy that would lock an operator out is told like a bad file; null: it does not. */
  tellLockout(id: number, lockout: Trouble | null): void {
    if (lockout === null) {
      if (this.#once.settle('lockout'))
        this.#log.info({ reconcile: id }, 'the policy file locks nobody out any more');
      return;
    }
    const { message, code, fix } = lockout;
    if (!this.#once.isNews('lockout', message)) return;
    this.#log.error(
      { reconcile: id, code, fix },
      `the policy file is held back, the last good policy stays in force: ${message}`,
    );
  }

  #tellFailures(id: number, { failures }: Done): void {
    const standing = new Set<string>();
    for (const { action, error } of failures) {
      // Gone between looking and acting: the next look knows.
      if (error.code === 'no-cgroup' || error.code === 'no-interface') continue;
      const topic = `failure ${action.op} ${action.target}`;
      standing.add(topic);
      if (!this.#once.isNews(topic, error.message)) continue;
      this.#log.error(
        { reconcile: id, op: action.op, target: action.target, code: error.code, fix: error.fix },
        error.message,
      );
    }
    for (const topic of this.#once.settleOthers('failure ', standing)) {
      this.#log.info({ reconcile: id }, `no longer failing: ${topic.slice('failure '.length)}`);
    }
  }

  /** The whole reconcile failed. Bugs and refusals of the system are told with their stack. */
  tellTrouble(id: number, trouble: Trouble): void {
    const { message, code, fix, diagnostics, stack } = trouble;
    if (!this.#once.isNews('trouble', message)) return;
    const fields = { reconcile: id, code, fix: fix ?? 'report this with its stack', stack };
    this.#log.error(fields, `reconcile failed; the loaded policy stays in force: ${message}`);
    for (const diagnostic of diagnostics) this.#tellDiagnostic(diagnostic);
  }
}

/** False when all that there was to do failed again. */
function hasEffect({ plan, failures }: Done): boolean {
  const failed = new Set(failures.map(({ action }) => action.target));
  return plan.actions.some(({ target }) => !failed.has(target));
}

/** What is enforced now, and for which policies there is no cgroup or interface yet. */
export function enforced(
  id: number,
  { generation, hash, policies, attachments, interfaces }: InForce,
) {
  const owners = new Set([...attachments, ...interfaces].map((attachment) => attachment.policy));
  const waiting = policies.filter((_, index) => !owners.has(index + 1));
  return {
    reconcile: id,
    generation,
    hash: hash?.slice(0, 12) ?? null,
    policies: policies.length,
    cgroups: attachments.length,
    ...(interfaces.length === 0
      ? {}
      : { interfaces: interfaces.map(({ name, mode }) => `${name} (${mode ?? '?'})`) }),
    ...(waiting.length === 0 ? {} : { waiting }),
  };
}
