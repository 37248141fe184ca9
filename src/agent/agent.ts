// The long-running agent: whatever happens, look at the file, look at the
// kernel, and do what is missing. Events only say that something is dirty.

import { resolve } from 'node:path';
import { watchCgroups } from '../kernel/cgroup-watch.js';
import type { CgroupWatch } from '../kernel/cgroup-watch.js';
import { watchInterfaces } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import { nextTurn } from '../kernel/turn.js';
import type { Logger } from '../report/log.js';
import { watchFiles } from '../source/watch.js';
import type { FileWatch } from '../source/watch.js';
import { EventReader } from './event-reader.js';
import { lockAgent } from './presence.js';
import type { FileLock } from '../kernel/native.js';
import { enforced, Storyteller } from './story.js';
import { isLingering } from '../compile/state.js';
import { Desk } from './desk.js';
import { troubleOf } from './steward.js';
import type { Done, Report } from './steward.js';
import { pendingTrial, secondsLeft } from './trial.js';

export interface AgentOptions {
  readonly place: Place;
  readonly policyPath: string;
  readonly log: Logger;
  /** Between two looks at kernel and file without any event. */
  readonly resyncMs: number;
  readonly uid: number;
  /** May name the SSH connection of whoever started us. */
  readonly env: NodeJS.ProcessEnv;
}

/** Why a reconcile runs; for the log alone. */
export type Cause =
  'start' | 'file' | 'cgroups' | 'interfaces' | 'reload' | 'resync' | 'retry' | 'trial';

/** A cgroup that failed, or a lock that was held, is tried again after this long. */
const RETRY_MS = 2000;
/**
 * A cgroup that was removed lets go of its links a little later, or when its last
 * socket closes, and nobody is told; it may do so between two looks of one
 * reconcile. Looked for after this long, then ever later.
 */
const FIRST_LINGER_MS = 50;
const LAST_LINGER_MS = 3_000;
/** While a policy is on trial, its end is looked for this often. */
const TRIAL_MS = 500;

export class Agent {
  readonly #options: AgentOptions;
  readonly #desk: Desk;
  readonly #path: string;
  readonly #lock: FileLock;
  readonly #story: Storyteller;
  readonly #events: EventReader;
  readonly #files: FileWatch;
  readonly #cgroups: CgroupWatch;
  readonly #interfaces: { close(): void };
  #watched: readonly string[] = [];
  #dirty = new Set<Cause>();
  #running: Promise<void> | null = null;
  #resync: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  #trial: NodeJS.Timeout | undefined;
  #linger: NodeJS.Timeout | undefined;
  #lingerMs = FIRST_LINGER_MS;
  #sequence = 0;
  #isClosed = false;

  private constructor(options: AgentOptions, lock: FileLock, events: EventReader) {
    const { place, log } = options;
    this.#options = options;
    this.#lock = lock;
    this.#events = events;
    this.#story = new Storyteller(log);
    this.#path = resolve(options.policyPath);
    this.#desk = new Desk({
      place,
      policyPath: options.policyPath,
      uid: options.uid,
      env: { ...options.env },
    });
    this.#files = watchFiles(
      () => this.mark('file'),
      (error) =>
        log.error({ err: error }, 'watching the policy file failed; the resync goes on looking'),
    );
    this.#cgroups = watchCgroups(place.cgroupRoot, () => {
      this.#lingerMs = FIRST_LINGER_MS;
      this.mark('cgroups');
    });
    this.#interfaces = watchInterfaces(() => this.mark('interfaces'));
    this.#resync = setInterval(() => this.mark('resync'), options.resyncMs);
  }

  /** Takes the agent's lock (code `locked` when another runs) and reconciles once. */
  static async start(options: AgentOptions): Promise<Agent> {
    const lock = lockAgent(options.place, options.policyPath);
    // Node.js has just loaded and run half a megabyte of modules.
    await nextTurn();
    const agent = new Agent(options, lock, await EventReader.open(options.place, options.log));
    const outcome = await agent.#begin();
    const fields = outcome === null ? {} : enforced(1, outcome.state);
    options.log.info({ ...fields, pid: process.pid, policy: agent.#path }, 'agent started');
    return agent;
  }

  async #begin(): Promise<Done | null> {
    await this.#cgroups.rescan();
    await nextTurn();
    if (this.#cgroups.unwatched > 0) {
      this.#options.log.warn(
        { unwatched: this.#cgroups.unwatched, fix: 'raise fs.inotify.max_user_watches' },
        'not every cgroup can be watched; new ones below them wait for the resync',
      );
    }
    let first: Done | null = null;
    this.#running = this.#reconcile(['start']).then((outcome) => {
      first = outcome;
    });
    await this.#running;
    this.#running = null;
    if (this.#dirty.size > 0) this.#run();
    return first;
  }

  /** Something may have changed: look, soon. Marks that come while we work merge into one more look. */
  mark(cause: Cause): void {
    this.#dirty.add(cause);
    if (this.#running === null && !this.#isClosed) this.#run();
  }

  #run(): void {
    this.#running = this.#work().finally(() => {
      this.#running = null;
    });
  }

  async #work(): Promise<void> {
    while (this.#dirty.size > 0 && !this.#isClosed) {
      const causes = [...this.#dirty];
      this.#dirty.clear();
      await this.#reconcile(causes);
    }
  }

  /** Whatever goes wrong is told and tried again: the agent lives on. */
  async #reconcile(marked: readonly Cause[]): Promise<Done | null> {
    const id = ++this.#sequence;
    let causes = marked;
    try {
      if (causes.includes('resync')) await this.#cgroups.rescan();
      const extent = causes.every((cause) => cause === 'cgroups' || cause === 'interfaces')
        ? 'kernel'
        : 'file and kernel';
      const report = await this.#desk.work(extent);
      this.#tellReading(report);
      // A change of the file that a resync found first is no drift of the kernel.
      if (report.isNews && !causes.includes('file')) causes = [...causes, 'file'];
      // And one that changed nothing explains nothing.
      if (!report.isNews) causes = causes.filter((cause) => cause !== 'file');
      if (report.trouble === null) this.#story.tellLockout(id, report.lockout);
      if (report.lockout !== null) this.#retryLater();
      if (report.done === null) {
        this.#story.tellTrouble(id, report.trouble ?? { message: 'no outcome', diagnostics: [] });
        this.#retryLater();
        return null;
      }
      this.#story.tellOutcome({ id, causes, outcome: report.done });
      this.#follow(report.done);
      return report.done;
    } catch (error) {
      this.#story.tellTrouble(id, troubleOf(error));
      this.#retryLater();
      return null;
    }
  }

  /** A bad file is said once; files that it no longer names may be what is wrong with it. */
  #tellReading({ reading }: Report): void {
    if (reading === null) return;
    this.#files.setFiles([...new Set([...reading.files, ...this.#watched])]);
    this.#watched = reading.files;
    this.#story.tellReading(this.#path, reading);
  }

  #follow(outcome: Done): void {
    this.#events.follow(outcome.state);
    if (outcome.failures.length > 0) this.#retryLater();
    if (outcome.trial !== null) this.#awaitTrial();
    clearTimeout(this.#linger);
    if (outcome.isUnfinished || outcome.state.attachments.some(isLingering)) this.#lookForTheEnd();
    else this.#lingerMs = FIRST_LINGER_MS;
  }

  #lookForTheEnd(): void {
    this.#linger = setTimeout(() => this.mark('cgroups'), this.#lingerMs);
    this.#lingerMs = Math.min(2 * this.#lingerMs, LAST_LINGER_MS);
  }

  #retryLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.mark('retry'), RETRY_MS);
  }

  /** bpffs tells nobody of its changes, so the end of a trial has to be looked for. */
  #awaitTrial(): void {
    clearTimeout(this.#trial);
    this.#trial = setTimeout(() => {
      const trial = pendingTrial(this.#options.place);
      if (trial === null || secondsLeft(trial) === 0) this.mark('trial');
      else this.#awaitTrial();
    }, TRIAL_MS);
  }

  /** Ends the agent; what it loaded goes on deciding. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#resync);
    clearTimeout(this.#retry);
    clearTimeout(this.#trial);
    clearTimeout(this.#linger);
    await this.#running;
    await this.#desk.close();
    await this.#files.close();
    this.#cgroups.close();
    this.#interfaces.close();
    await this.#events.close();
    this.#lock.close();
  }
}
