// A process in a cgroup whose sockets a test moves from outside.

import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';

export type Argument = number | string | { readonly bytes: string } | readonly Argument[];

interface Answer {
  readonly value?: unknown;
  readonly error?: string;
}

/** One process; each call waits for its answer, so calls of one puppet never overlap. */
export class Puppet {
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** `cgroup` is an absolute path; `netns` the name of a network namespace. */
  static start(cgroup: string, netns?: string): Puppet {
    const enter = netns === undefined ? '' : `nsenter --net=/run/netns/${netns} `;
    const script = join(PACKAGE_ROOT, 'test/kernel/puppet.py');
    const command = `echo $$ > "$1/cgroup.procs" && exec ${enter}python3 "$2"`;
    const child = spawn('sh', ['-c', command, 'sh', cgroup, script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Puppet(child);
  }

  async call(command: object): Promise<Answer> {
    const answer = this.#last.then(async () => {
      this.#child.stdin.write(`${JSON.stringify(command)}\n`);
      const line = await this.#answers.next();
      if (line.done === true) throw new Error('the puppet is gone');
      return JSON.parse(line.value) as Answer;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  /** Names are Python's: `AF_INET`, `SOCK_STREAM`. Throws when the socket is refused. */
  async socket(
    family = 'AF_INET',
    type = 'SOCK_STREAM',
    protocol: string | number = 0,
  ): Promise<PuppetSocket> {
    const { value, error } = await this.call({ op: 'socket', args: [family, type, protocol] });
    if (error !== undefined) throw new Error(error);
    return new PuppetSocket(this, value as number);
  }

  /** `ok`, or the name of the error with which the socket is refused. */
  async trySocket(family: string, type: string, protocol: string | number = 0): Promise<string> {
    const { value, error } = await this.call({ op: 'socket', args: [family, type, protocol] });
    if (error === undefined) await this.call({ op: 'close', socket: value, args: [] });
    return error ?? 'ok';
  }

  /** Serves HTTP on a port of 127.0.0.1: every GET is answered with `hello`. */
  async serveHttp(): Promise<number> {
    const { value, error } = await this.call({ op: 'serve', args: [] });
    if (error !== undefined) throw new Error(error);
    return value as number;
  }

  /** Status and body of a GET. */
  async getHttp(url: string): Promise<readonly [number, string]> {
    const { value, error } = await this.call({ op: 'get', args: [url] });
    if (error !== undefined) throw new Error(error);
    return value as [number, string];
  }

  /** Goes by another name: what ps shows. */
  async rename(name: string): Promise<void> {
    await this.call({ op: 'comm', args: [name] });
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

export class PuppetSocket {
  readonly #puppet: Puppet;
  readonly #number: number;

  constructor(puppet: Puppet, number: number) {
    this.#puppet = puppet;
    this.#number = number;
  }

  /** `ok`, or the name of the error: EPERM, ECONNREFUSED, TIMEOUT (2 s unless settimeout). */
  async try(op: string, ...args: readonly Argument[]): Promise<string> {
    const { error } = await this.#puppet.call({ op, socket: this.#number, args });
    return error ?? 'ok';
  }

  /** What Python's method of this name returns. Throws the error's name. */
  async do(op: string, ...args: readonly Argument[]): Promise<unknown> {
    const { value, error } = await this.#puppet.call({ op, socket: this.#number, args });
    if (error !== undefined) throw new Error(`${op}: ${error}`);
    return value;
  }

  async accept(): Promise<PuppetSocket> {
    const [number] = (await this.do('accept')) as [number, unknown];
    return new PuppetSocket(this.#puppet, number);
  }

  async port(): Promise<number> {
    const [, port] = (await this.do('getsockname')) as [string, number];
    return port;
  }
}
