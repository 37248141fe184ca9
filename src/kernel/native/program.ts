// Loaded programs.

import type { ProgramInfo, TestRunOptions, TestRunResult } from './types.js';
import { addon, NATIVE } from './addon.js';
import type { NativeProgram } from './addon.js';
import { count, ERRNO, take } from './errors.js';

/** A loaded program by its own descriptor. */
export class BpfProgram {
  readonly info: ProgramInfo;
  readonly #native: NativeProgram;

  constructor(native: NativeProgram) {
    this.#native = native;
    this.info = take('describe program', '', native.info());
  }

  get [NATIVE](): NativeProgram {
    return this.#native;
  }

  /** The descriptor; valid until close. */
  get fd(): number {
    return count('use', this.info.name, this.#native.descriptor());
  }

  pin(path: string): void {
    count('pin program', path, this.#native.pin(path));
  }

  /**
   * Runs the program once or more in the kernel. A syscall program answers in
   * `ctx`; cgroup_skb wants `data` (a packet from its Ethernet header on).
   */
  testRun(options: TestRunOptions): TestRunResult {
    const { ctx = null, data = null, repeat = 0, dataOutSize = 0, ctxOutSize = 0 } = options;
    return take(
      'run',
      this.info.name,
      this.#native.testRun(ctx, data, repeat, dataOutSize, ctxOutSize),
    );
  }

  close(): void {
    this.#native.close();
  }
}

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedProgram(path: string): BpfProgram {
  return new BpfProgram(take('open pinned program', path, addon().openPinnedProgram(path)));
}

/** null: no such program (any more). */
export function programInfo(id: number): ProgramInfo | null {
  const info = addon().programInfo(id);
  return info === -ERRNO.ENOENT ? null : take('describe program', String(id), info);
}
