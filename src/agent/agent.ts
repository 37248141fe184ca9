// The long-running agent: whatever happens, look at the file, look at the
// kernel, and do what is missing. Events only say that something is dirty.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import type { Policy } from '../policy/policy.js';
import { hasErrors } from '../policy/report.js';
import { watchCgroups } from '../kernel/cgroup-watch.js';
import type { CgroupWatch } from '../kernel/cgroup-watch.js';
import { streamEvents } from '../kernel/events.js';
import type { EventStream } from '../kernel/events.js';
import { lockEvents } from '../kernel/lock.js';
import { lockFile } from '../kernel/native.js';
import type { FileLock } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import type { Logger } from '../report/log.js';
import { renderEvent } from '../report/verdict.js';
import { renderDiagnostic } from '../policy/render.js';
import { PolicyFile } from '../source/policy-file.js';
import type { Reading } from '../source/policy-file.js';
import { watchFiles } from '../source/watch.js';
import type { FileWatch } from '../source/watch.js';
import { guardsOf } from './guard.js';
import { EventNaming } from './naming.js';
import { EventPublisher } from './publish.js';
import { reconcile } from './reconcile.js';
import type { Outcome } from './reconcile.js';
import { logOutcome } from './story.js';

export interface AgentOptions {
  readonly place: Place;
  readonly policyPath: string;
  readonly log: Logger;
  /** Between two looks at kernel and file without any event. */
  readonly resyncMs: number;
  readonly uid: number;
}

/** Why a reconcile runs; for the log alone. */
export type Cause = 'start' | 'file' | 'cgroups' | 'reload' | 'resync';

/** A cgroup that failed, or a lock that was held, is tried again after this long. */
const RETRY_MS = 2000;

export class Agent {
  readonly #options: AgentOptions;
  readonly #file: PolicyFile;
  readonly #lock: FileLock;
  readonly #naming: EventNaming;
  readonly #publisher: EventPublisher;
  readonly #files: FileWatch;
  readonly #cgroups: CgroupWatch;
  #events: EventStream | null = null;
  #eventsLock: FileLock | null = null;
  #policy: Policy | null = null;
  #lastReading: Reading | null = null;
  #dirty = new Set<Cause>();
  #running: Promise<void> | null = null;
  #resync: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  #sequence = 0;
  #isClosed = false;

  private constructor(options: AgentOptions, lock: FileLock, publisher: EventPublisher) {
    const { place, log } = options;
    this.#options = options;
    this.#lock = lock;
    this.#publisher = publisher;
    this.#file = new PolicyFile(options.policyPath, options.uid);
    this.#naming = new EventNaming(place);
    this.#files = watchFiles(
      () => this.mark('file'),
      (error) => log.error({ err: error }, 'watching the policy file failed; the resync goes on looking'),
    );
    this.#cgroups = watchCgroups(place.cgroupRoot, () => this.mark('cgroups'));
    if (this.#cgroups.unwatched > 0) {
      log.warn(
        { unwatched: this.#cgroups.unwatched, fix: 'raise fs.inotify.max_user_watches' },
        'not every cgroup can be watched; new ones below them wait for the resync',
      );
    }
    this.#resync = setInterval(() => this.mark('resync'), options.resyncMs);
  }

  /** Takes the agent's lock (code `locked` when another runs) and reconciles once. */
  static async start(options: AgentOptions): Promise<Agent> {
    mkdirSync(options.place.runDir, { recursive: true, mode: 0o755 });
    const lock = lockFile(join(options.place.runDir, 'agent.lock'), 'exclusive', 'try');
    if (lock === null) {
      throw new CgfwError('another cgfw agent is running', {
        code: 'locked',
        fix: `stop it first; it holds ${join(options.place.runDir, 'agent.lock')}`,
      });
    }
    const agent = new Agent(options, lock, await EventPublisher.open(options.place));
    agent.mark('start');
    await agent.#running;
    return agent;
  }

  /** Something may have changed: look, soon. Marks that come while we work merge into one more look. */
  mark(cause: Cause): void {
    this.#dirty.add(cause);
    if (this.#running !== null || this.#isClosed) return;
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

  async #reconcile(causes: readonly Cause[]): Promise<void> {
    const { log, place } = this.#options;
    const id = ++this.#sequence;
    if (causes.includes('resync')) this.#cgroups.rescan();
    const reading = causes.every((cause) => cause === 'cgroups') ? this.#lastReading : this.#look();
    try {
      const outcome = await reconcile(place, this.#policy, { guards: guardsOf(reading?.sets ?? []) });
      logOutcome(log, { id, causes, outcome });
      this.#follow(outcome);
    } catch (error) {
      if (!(error instanceof CgfwError)) throw error;
      log.error({ reconcile: id, code: error.code, fix: error.fix, err: error }, 'reconcile failed; the loaded policy stays in force');
      for (const diagnostic of error.diagnostics) log.error({ code: diagnostic.code, fix: diagnostic.fix }, diagnostic.message);
      this.#retryLater();
    }
  }

  /** Reads the file; a bad one is said once and changes nothing. */
  #look(): Reading {
    const { log } = this.#options;
    const reading = this.#file.read();
    this.#files.setFiles([...new Set([...reading.files, ...(this.#lastReading?.files ?? [])])]);
    const isNews = JSON.stringify(reading.diagnostics) !== JSON.stringify(this.#lastReading?.diagnostics);
    this.#lastReading = reading;
    if (isNews) {
      for (const found of reading.diagnostics) {
        const place = found.at === undefined ? {} : { file: found.at.file, line: found.at.line, column: found.at.column };
        const fields = { code: found.code, ...place, fix: found.fix };
        if (found.severity === 'error') log.error(fields, renderDiagnostic(found));
        else log.warn(fields, found.message);
      }
      if (hasErrors(reading.diagnostics)) log.error({ policy: this.#file.path }, 'the policy file is not valid; the last good policy stays in force');
    }
    if (reading.policy !== undefined) this.#policy = reading.policy;
    return reading;
  }

  #follow(outcome: Outcome): void {
    this.#naming.refresh();
    if (outcome.failures.length > 0) this.#retryLater();
    if (outcome.state.programs === null) return;
    this.#eventsLock ??= lockEvents(this.#options.place);
    if (this.#eventsLock !== null && this.#events === null) {
      this.#events = streamEvents(this.#options.place, (raw) => {
        const events = raw.map((event) => this.#naming.describe(event));
        for (const event of events) this.#options.log.info({ event }, renderEvent(event));
        this.#publisher.publish(events);
      });
    }
  }

  #retryLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.mark('resync'), RETRY_MS);
  }

  /** Ends the agent; what it loaded goes on deciding. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#resync);
    clearTimeout(this.#retry);
    await this.#running;
    await this.#files.close();
    this.#cgroups.close();
    this.#events?.drain();
    this.#events?.close();
    this.#eventsLock?.close();
    await this.#publisher.close();
    this.#lock.close();
  }
}
