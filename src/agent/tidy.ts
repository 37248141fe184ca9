// An agent at rest should not hold what it needed at work.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from '../kernel/native.js';

/** Long enough after work that a burst of edits does not pay for it. */
const REST_MS = 1000;
const SWEEP_MS = 200;

/**
 * Collects garbage and gives memory back when nothing has happened for a second.
 * V8 collects large typed arrays late, and the allocator keeps what they were in:
 * after a list of a million prefixes that is 200 MB.
 */
export class Tidy {
  readonly #collect: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as () => void;
  }

  /** Work was done: tidy up when it stays quiet. */
  soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#collect();
      // What was collected is set free a little later, by threads of V8's own.
      this.#timer = setTimeout(() => {
        this.#collect();
        trimMemory();
      }, SWEEP_MS).unref();
    }, REST_MS).unref();
  }
}
