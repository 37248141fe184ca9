// The steward in a thread of its own, so that a list of a million prefixes never
// holds up events, signals and watches.

import { Worker } from 'node:worker_threads';
import { troubleOf } from './steward.js';
import type { Extent, Report, StewardOptions } from './steward.js';

/** Short-lived objects of a parse; more would only stay resident. */
const YOUNG_MB = 8;

/** One request at a time; a thread that dies is replaced by the next request. */
export class StewardThread {
  readonly #options: StewardOptions;
  #worker: Worker | null = null;

  constructor(options: StewardOptions) {
    this.#options = options;
  }

  async work(extent: Extent): Promise<Report> {
    const worker = (this.#worker ??= this.#start());
    return new Promise((resolve) => {
      const finish = (report: Report): void => {
        worker.off('message', finish);
        worker.off('error', onError);
        worker.off('exit', onExit);
        resolve(report);
      };
      const fail = (message: string): void => {
        this.#worker = null;
        finish({
          reading: null,
          isNews: false,
          done: null,
          trouble: { message, diagnostics: [] },
          lockout: null,
          isLight: false,
        });
      };
      const onError = (error: unknown): void => fail(troubleOf(error).message);
      const onExit = (code: number): void =>
        fail(`the thread that reconciles ended with code ${String(code)}`);
      worker.on('message', finish);
      worker.on('error', onError);
      worker.on('exit', onExit);
      worker.postMessage(extent);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./steward-worker.js', import.meta.url), {
      workerData: this.#options,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    // Between requests it does not keep the process alive.
    worker.unref();
    return worker;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = null;
  }
}
