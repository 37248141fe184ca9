// Python programs in cgroups of a test, which say what they found in JSON lines.

import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';

export interface ProgramPlace {
  /** Absolute path of the cgroup that it starts in. */
  readonly cgroup: string;
  /** Name of a network namespace. */
  readonly netns?: string | undefined;
}

/** One run of `test/kernel/<script>`; end() in any case. */
export class Program {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static start(place: ProgramPlace, script: string, ...argv: readonly string[]): Program {
    const enter = place.netns === undefined ? '' : `nsenter --net=/run/netns/${place.netns} `;
    const command = `echo $$ > "$1/cgroup.procs" && shift && exec ${enter}python3 "$@"`;
    const file = join(PACKAGE_ROOT, 'test/kernel', script);
    return new Program(
      spawn('sh', ['-c', command, 'sh', place.cgroup, file, ...argv], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
  }

  /** The next line that it prints. */
  async line<T>(): Promise<T> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the program is gone');
    return JSON.parse(line.value) as T;
  }

  /** Sends one JSON command a line; the answer is the line that follows. */
  async ask<T>(command: object): Promise<T> {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    return this.line<T>();
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
