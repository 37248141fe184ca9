// An agent at rest should not hold what it needed at work.

import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimMemory } from '../kernel/native.js';

/**
 * Long enough after work that a burst of edits does not pay for it. Threads that
 * collected at once would hold each other up: each gets its own time.
 */
const REST_MS = { main: 500, steward: 600 };
const SWEEP_MS = 200;
/** Less is not worth 25 ms of CPU; a look that finds nothing to do leaves 1 MB behind. */
const WORTHWHILE_BYTES = 4 << 20;

/**
 * Collects garbage and gives memory back when nothing has happened for half a second.
 * V8 collects large typed arrays late, and the allocator keeps what they were in:
 * after a list of a million prefixes that is 200 MB.
 */
export class Tidy {
  readonly #collect: () => void;
  #timer: NodeJS.Timeout | undefined;
  readonly #restMs: number;
  #restBytes = 0;

  /** For the thread that it is made in. */
  constructor(thread: keyof typeof REST_MS) {
    this.#restMs = REST_MS[thread];
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as () => void;
  }

  /** Tidies up when it stays quiet; after a mere look only where that has left much behind. */
  after(work: 'change' | 'look'): void {
    if (work === 'look' && heldBytes() < this.#restBytes + WORTHWHILE_BYTES) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#collect();
      // What was collected is set free a little later, by threads of V8's own.
      this.#timer = setTimeout(() => {
        this.#collect();
        trimMemory();
        this.#restBytes = heldBytes();
      }, SWEEP_MS).unref();
    }, this.#restMs).unref();
  }
}

/** By this thread: objects, and the memory of its typed arrays. */
function heldBytes(): number {
  const { used_heap_size: heap, external_memory: arrays } = getHeapStatistics();
  return heap + arrays;
}
