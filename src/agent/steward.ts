// Looks at the policy file and brings the kernel into step with it. Knows no
// timers, no log and no events: it can live in a thread of its own.

import { CgfwError } from '../base/error.js';
import type { Diagnostic } from '../base/error.js';
import type { Attachment, Cgroup, InterfaceAttachment } from '../compile/state.js';
import { ownedCgroups } from '../compile/owners.js';
import { walkCgroups } from '../kernel/cgroups.js';
import type { Trial } from '../kernel/trial.js';
import type { Place } from '../kernel/place.js';
import { nextTurn } from '../kernel/turn.js';
import type { Action, Plan } from '../plan/action.js';
import { renderPlan } from '../plan/render.js';
import type { Policy } from '../policy/policy.js';
import { PolicyFile } from '../source/policy-file.js';
import type { Reading } from '../source/policy-file.js';
import { coverageOf, isCovered } from './coverage.js';
import type { Coverage } from './coverage.js';
import { guardsOf } from './guard.js';
import type { Guard, Held } from './guard.js';
import { reconcile } from './reconcile.js';
import type { Outcome } from './reconcile.js';
import { isUnaccelerated } from './unaccelerated.js';

export interface StewardOptions {
  readonly place: Place;
  readonly policyPath: string;
  readonly uid: number;
  /** May name an operator's SSH connection. */
  readonly env: NodeJS.ProcessEnv;
}

/** An error as plain data, which survives the way between threads. */
export interface Trouble {
  readonly message: string;
  readonly code?: string;
  readonly fix?: string;
  readonly diagnostics: readonly Diagnostic[];
  readonly stack?: string;
}

/** What is in force, without the tables. */
export interface InForce {
  readonly generation: number;
  /** Programs are loaded; there is an event ring. */
  readonly isLoaded: boolean;
  /** A policy asks for acceleration, and this kernel has none. */
  readonly isUnaccelerated: boolean;
  /** Hash of the policy in force; null when there is none. */
  readonly hash: string | null;
  /** Names of its policies, those of interfaces last, in the order of Attachment.policy. */
  readonly policies: readonly string[];
  readonly attachments: readonly Attachment[];
  readonly interfaces: readonly InterfaceAttachment[];
}

/** A reconcile that was carried out, as plain data. */
export interface Done {
  /** Without changes of rules and without hooks: nobody tells them, and there may be thousands. */
  readonly plan: Plan;
  /** The first lines of the whole plan, for people. */
  readonly lines: readonly string[];
  readonly held: readonly Held[];
  readonly failures: readonly { readonly action: Action; readonly error: Trouble }[];
  readonly trial: Trial | null;
  readonly reverted: boolean;
  readonly state: InForce;
  /** Something is left to do: it changed while we worked, and nothing will tell of it again. */
  readonly isUnfinished: boolean;
}

export interface Report {
  /** What the file says, when it was looked at; `isNews`: otherwise than before. */
  readonly reading: Pick<Reading, 'diagnostics' | 'files'> | null;
  readonly isNews: boolean;
  readonly done: Done | null;
  /** Why the reconcile as a whole failed; what was in force stays. */
  readonly trouble: Trouble | null;
  /** Whom the file's policy would lock out: it is held back, and the one in force kept up. */
  readonly lockout: Trouble | null;
  /** So little that the main thread can do it. */
  readonly isLight: boolean;
}

/** How much there is to do: for files of so many bytes and so many cgroups, the event loop may wait. */
const LIGHT_BYTES = 64 << 10;
const LIGHT_CGROUPS = { all: 1000, selected: 100 };

/** Whether a report is of a change, or of a look that found nothing new. */
export function kindOf({ isNews, done, trouble }: Report): 'change' | 'look' {
  return isNews || trouble !== null || done?.plan.inStep === false ? 'change' : 'look';
}

/** What has to be looked at. */
export type Extent = 'file and kernel' | 'kernel';

export class Steward {
  readonly #place: Place;
  readonly #file: PolicyFile;
  readonly #env: NodeJS.ProcessEnv;
  readonly #load: 'light' | 'any';
  #policy: Policy | null = null;
  #last: Reading | null = null;
  /** What the last look found in step; null: look at everything. */
  #inStep: { readonly coverage: Coverage; readonly done: Done } | null = null;

  /** `light`: takes on only what does not hold up the thread that it is in. */
  constructor({ place, policyPath, uid, env }: StewardOptions, load: 'light' | 'any') {
    this.#load = load;
    this.#env = env;
    this.#place = place;
    this.#file = new PolicyFile(policyPath, uid);
  }

  /**
   * Never throws: whatever goes wrong is in the report. A bad file changes nothing.
   * null: it is too much here, and nothing was done.
   */
  async work(wanted: Extent): Promise<Report | null> {
    const extent = this.#last === null ? 'file and kernel' : wanted;
    // Cgroups come and go all the time, and most are none of ours.
    if (
      extent === 'kernel' &&
      this.#inStep !== null &&
      isCovered(this.#place, this.#inStep.coverage)
    ) {
      return { ...NOTHING_NEW, done: this.#inStep.done, isLight: this.#load === 'light' };
    }
    this.#inStep = null;
    const before = this.#last;
    let reading: Reading | null = null;
    let isLight = false;
    try {
      isLight = extent === 'kernel' || !this.#file.isLargerThan(LIGHT_BYTES);
      if (!isLight && this.#load === 'light') return null;
      // Each of these takes ten milliseconds where it is done for the first time.
      if (extent === 'file and kernel') {
        await nextTurn();
        reading = this.#look();
        await nextTurn();
      }
      isLight = isLight && this.#policy !== null && areFew(this.#place, this.#policy);
      if (!isLight && this.#load === 'light' && this.#policy !== null) return null;
      const guards = guardsOf(this.#last?.sets ?? []);
      await nextTurn();
      const { outcome, lockout } = await this.#enforce(guards);
      const coverage = coverageOf(outcome);
      if (coverage !== null && lockout === null) {
        const done = doneOf({ ...outcome, plan: outcome.remaining, reverted: false });
        this.#inStep = { coverage, done };
      }
      return {
        ...lookedAt(reading, before),
        done: doneOf(outcome),
        trouble: null,
        lockout,
        isLight,
      };
    } catch (error) {
      return {
        ...NOTHING_NEW,
        ...lookedAt(reading, before),
        trouble: troubleOf(error),
        isLight: this.#load === 'light',
      };
    }
  }

  /** A policy that would lock an operator out is held back like a bad file. */
  async #enforce(guards: readonly Guard[]): Promise<{ outcome: Outcome; lockout: Trouble | null }> {
    try {
      const outcome = await reconcile(this.#place, this.#policy, { guards, operator: this.#env });
      return { outcome, lockout: null };
    } catch (error) {
      if (!(error instanceof CgfwError) || error.code !== 'lockout') throw error;
      return {
        outcome: await reconcile(this.#place, null, { guards: [] }),
        lockout: troubleOf(error),
      };
    }
  }

  #look(): Reading {
    const reading = this.#file.read();
    this.#last = reading;
    if (reading.policy !== undefined) this.#policy = reading.policy;
    return reading;
  }
}

/** Looks no further than it has to: where there are many, looking is what takes long. */
function areFew({ cgroupRoot }: Place, { policies }: Policy): boolean {
  const all: Cgroup[] = [];
  for (const cgroup of walkCgroups(cgroupRoot)) {
    if (all.push(cgroup) > LIGHT_CGROUPS.all) return false;
  }
  return ownedCgroups(policies, all).length <= LIGHT_CGROUPS.selected;
}

const NOTHING_NEW = { reading: null, isNews: false, done: null, trouble: null, lockout: null };

function lookedAt(
  reading: Reading | null,
  before: Reading | null,
): Pick<Report, 'reading' | 'isNews'> {
  if (reading === null) return { reading, isNews: false };
  const { diagnostics, files } = reading;
  return { reading: { diagnostics, files }, isNews: reading !== before };
}

function doneOf(outcome: Outcome): Done {
  const { plan, program, held, failures, trial, reverted, state, remaining } = outcome;
  return {
    plan: { ...plan, actions: plan.actions.map(bare) },
    lines: firstLines(plan),
    held,
    failures: failures.map(({ action, error }) => ({ action, error: troubleOf(error) })),
    trial,
    reverted,
    isUnfinished: !remaining.inStep && failures.length === 0,
    state: {
      generation: state.generation,
      isLoaded: state.programs !== null,
      isUnaccelerated: isUnaccelerated(state),
      hash: state.program === null ? null : (program?.names.hash ?? null),
      policies: [...(program?.names.policies ?? []), ...(program?.names.interfaces ?? [])].map(
        ({ name }) => name,
      ),
      attachments: state.attachments.map((attachment) => ({ ...attachment, ...NO_HOOKS })),
      interfaces: state.interfaces,
    },
  };
}

const NO_HOOKS = { hooks: [], outdated: [] };

/** Of thousands of actions, what the way between threads is worth. */
function bare(action: Action): Action {
  if (action.op === 'fill') return { ...action, changes: [] };
  return 'hooks' in action ? { ...action, hooks: [] } : action;
}

/** Lines of a plan that are told; of a longer one, how many more there are. */
const TOLD_LINES = 20;

function firstLines(plan: Plan): string[] {
  const lines = renderPlan(plan, (_, line) => line.replace(/ {2,}/g, ' '))
    .split('\n')
    .filter(Boolean);
  const more = lines.length - TOLD_LINES;
  return more <= 0 ? lines : [...lines.slice(0, TOLD_LINES), `and ${String(more)} more`];
}

export function troubleOf(error: unknown): Trouble {
  if (error instanceof CgfwError) {
    const { message, code, fix, diagnostics } = error;
    return { message, code, fix, diagnostics };
  }
  if (error instanceof Error)
    return { message: error.message, diagnostics: [], stack: error.stack ?? '' };
  return { message: String(error), diagnostics: [] };
}
