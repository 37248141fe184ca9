// Where the steward sits: on the main thread for an ordinary policy, in a thread
// of its own for one with large lists or many cgroups.
//
// A thread costs 18 MB and, after it has slept, 100 ms; a small policy is done in
// 20 ms. A list of a million prefixes takes half a second, in which events,
// signals and watches must not wait.

import { kindOf, Steward } from './steward.js';
import { StewardThread } from './steward-thread.js';
import type { Extent, Report, StewardOptions } from './steward.js';
import { Tidy } from './tidy.js';

export class Desk {
  readonly #options: StewardOptions;
  readonly #tidy = new Tidy('main');
  #here: Steward | null = null;
  #thread: StewardThread | null = null;

  constructor(options: StewardOptions) {
    this.#options = options;
  }

  /**
   * As Steward.work. Nothing is lost on the way from one seat to the other: the
   * file is read again, and the last good policy is in the kernel.
   */
  async work(extent: Extent): Promise<Report> {
    const report = (await this.#workHere(extent)) ?? (await this.#workInThread(extent));
    this.#tidy.after(kindOf(report));
    return report;
  }

  async #workHere(extent: Extent): Promise<Report | null> {
    if (this.#thread !== null) return null;
    return (this.#here ??= new Steward(this.#options, 'light')).work(extent);
  }

  async #workInThread(extent: Extent): Promise<Report> {
    this.#here = null;
    this.#thread ??= new StewardThread(this.#options);
    const report = await this.#thread.work(extent);
    if (report.isLight) await this.close();
    return report;
  }

  async close(): Promise<void> {
    await this.#thread?.close();
    this.#thread = null;
  }
}
