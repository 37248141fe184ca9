// Two cgroups that accelerate, in a network namespace of their own, with a process in each.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import type { StatusAcceleration } from '../../src/report/acceleration.js';
import { Netns } from './netns.js';
import { Program } from './program.js';
import type { Puppet, PuppetSocket } from './puppet.js';
import { Sandbox, until } from './sandbox.js';
import { policyText } from './traffic.js';

/** For tap: why these tests cannot run here, or false. */
export const skip = canAccelerate()
  ? false
  : 'needs sk_msg programs, bpf_set_retval and kernel BTF';

export interface Pair {
  readonly near: PuppetSocket;
  readonly far: PuppetSocket;
}

/** `near` connects from the client's cgroup, `far` is accepted in the server's. */
export class Stage {
  readonly box = new Sandbox();
  readonly netns = new Netns();
  readonly client = this.box.cgroup('client');
  readonly server = this.box.cgroup('server');
  readonly #programs: Program[] = [];
  readonly inner: Puppet;
  readonly outer: Puppet;

  constructor() {
    this.inner = this.box.puppet(this.client, this.netns.name);
    this.outer = this.box.puppet(this.server, this.netns.name);
  }

  /** Both cgroups accelerate; more goes to each policy. */
  policy(ofClient: object = {}, ofServer: object = {}): string {
    return policyText([
      { name: 'client', cgroups: [this.client], accelerate: true, ...ofClient },
      { name: 'server', cgroups: [this.server], accelerate: true, ...ofServer },
    ]);
  }

  async counts(): Promise<StatusAcceleration> {
    const status = await this.box.json('status', this.box.policyFile);
    return status['acceleration'] as StatusAcceleration;
  }

  /** What `work` adds to the counts; only what is not 0. */
  async added(work: () => Promise<unknown>): Promise<Readonly<Record<string, number>>> {
    const flat = ({ redirected, messages, bytes, fallbacks }: StatusAcceleration) =>
      Object.entries({ redirected, messages, bytes, ...fallbacks });
    const before = new Map(flat(await this.counts()));
    await work();
    const after = flat(await this.counts());
    return Object.fromEntries(
      after
        .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
        .filter(([, count]) => count !== 0),
    );
  }

  async listen(address = '127.0.0.1', to = this.outer): Promise<PuppetSocket> {
    const listener = await to.socket(address.includes(':') ? 'AF_INET6' : 'AF_INET');
    await listener.do('bind', [address, 0]);
    await listener.do('listen', 64);
    return listener;
  }

  async connect(
    address = '127.0.0.1',
    from: Puppet = this.inner,
    to: Puppet = this.outer,
  ): Promise<Pair> {
    const listener = await this.listen(address, to);
    const near = await from.socket(address.includes(':') ? 'AF_INET6' : 'AF_INET');
    await near.do('connect', [address, await listener.port()]);
    const far = await listener.accept();
    await listener.do('close');
    return { near, far };
  }

  /** A connection that has been redirected in both directions. */
  async accelerated(): Promise<Pair> {
    const pair = await this.connect();
    await say(pair.near, pair.far, 'to the server');
    await say(pair.far, pair.near, 'and back');
    return pair;
  }

  /** Starts a program of this folder in one of the cgroups. */
  program(cgroup: string, script: string, ...argv: readonly (string | number)[]): Program {
    const place = { cgroup: join(this.box.place.cgroupRoot, cgroup), netns: this.netns.name };
    const program = Program.start(place, script, ...argv.map(String));
    this.#programs.push(program);
    return program;
  }

  /** State of a TCP socket of this namespace as /proc/net/tcp writes it: 05 is FIN-WAIT-2. */
  state(localPort: number): string | undefined {
    const lines = readFileSync(`/proc/${String(this.inner.pid)}/net/tcp`, 'utf8').split('\n');
    const port = localPort.toString(16).toUpperCase().padStart(4, '0');
    const line = lines.map((one) => one.trim().split(/ +/)).find(([, at]) => at?.endsWith(port));
    return line?.[3];
  }

  /** Nothing is left of all connections. */
  async isQuiet(): Promise<void> {
    await until('the table is empty', async () => (await this.counts()).connections === 0);
  }

  async close(): Promise<void> {
    for (const program of this.#programs) await program.end();
    await this.box.close();
    this.netns.close();
  }
}

/** Sends, and takes what one recv at the other end gives. */
export async function say(from: PuppetSocket, to: PuppetSocket, text: string): Promise<string> {
  await from.do('sendall', { bytes: text });
  return (await to.do('recv', 65536)) as string;
}

/** Exactly so many bytes. */
export async function read(from: PuppetSocket, size: number): Promise<string> {
  let text = '';
  while (text.length < size) {
    const more = (await from.do('recv', size - text.length)) as string;
    if (more === '') return text;
    text += more;
  }
  return text;
}

export async function close(...sockets: readonly PuppetSocket[]): Promise<void> {
  for (const socket of sockets) await socket.do('close');
}
