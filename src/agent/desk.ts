// Where the steward sits: on the main thread for an ordinary policy, in a thread
// of its own for one with large lists.
//
// A thread costs 18 MB and, after it has slept, 100 ms; a small policy is done in
// 20 ms. A list of a million prefixes takes half a second, in which events,
// signals and watches must not wait.

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Steward } from './steward.js';
import { StewardThread } from './steward-thread.js';
import type { Extent, Report, StewardOptions } from './steward.js';
import { Tidy } from './tidy.js';

/** Policy and set files together; read and compiled in some 30 ms. */
const SMALL_BYTES = 256 << 10;

export class Desk {
  readonly #options: StewardOptions;
  readonly #tidy = new Tidy();
  #files: readonly string[];
  #here: Steward | null = null;
  #thread: StewardThread | null = null;

  constructor(options: StewardOptions) {
    this.#options = options;
    this.#files = [resolve(options.policyPath)];
  }

  /**
   * As Steward.work. Nothing is lost on the way from one seat to the other: the
   * file is read again, and the last good policy is in the kernel.
   */
  async work(extent: Extent): Promise<Report> {
    const report = await this.#seat().work(extent);
    if (report.reading !== null) this.#files = report.reading.files;
    this.#tidy.soon();
    return report;
  }

  #seat(): Steward | StewardThread {
    if (sizeOf(this.#files) > SMALL_BYTES) {
      this.#here = null;
      return (this.#thread ??= new StewardThread(this.#options));
    }
    void this.#thread?.close();
    this.#thread = null;
    return (this.#here ??= new Steward(this.#options));
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }
}

function sizeOf(files: readonly string[]): number {
  const sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}
