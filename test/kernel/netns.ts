// Network namespaces of a test's own: nothing here touches an interface of the machine.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

/** Root's PATH may lack the directories where ip lives. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

function run(file: string, ...argv: readonly string[]): string {
  return execFileSync(file, argv, {
    encoding: 'utf8',
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** A network namespace with loopback up and ping sockets allowed; close() removes it. */
export class Netns {
  readonly name = `cgfw-${randomBytes(5).toString('hex')}`;

  constructor() {
    run('ip', 'netns', 'add', this.name);
    this.ip('link', 'set', 'lo', 'up');
    this.sysctl('net/ipv4/ping_group_range', '0 2147483647');
  }

  ip(...argv: readonly string[]): string {
    return run('ip', '-n', this.name, ...argv);
  }

  /** `name` with slashes: net/ipv4/tcp_fastopen. */
  sysctl(name: string, value: string): void {
    run(
      'nsenter',
      `--net=/run/netns/${this.name}`,
      'sh',
      '-c',
      'echo "$1" > "/proc/sys/$2"',
      'sh',
      value,
      name,
    );
  }

  /** Gives loopback, or another interface, addresses written as prefixes. */
  addresses(addresses: readonly string[], device = 'lo'): void {
    for (const address of addresses) {
      this.ip('addr', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
    }
  }

  /** Joins two namespaces: `left` here and `right` there, both called `wire`. */
  join(other: Netns, left: readonly string[], right: readonly string[]): void {
    this.ip('link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', other.name);
    for (const [netns, addresses] of [
      [this, left],
      [other, right],
    ] as const) {
      netns.addresses(addresses, 'wire');
      netns.ip('link', 'set', 'wire', 'up');
    }
  }

  close(): void {
    run('ip', 'netns', 'del', this.name);
  }
}
