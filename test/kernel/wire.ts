// Two network namespaces with a veth between them. This process moves into one of
// them, as whoever runs cgfw there would: interfaces are those of its namespace.

import { openSync } from 'node:fs';
import { setNetns } from '../../src/kernel/native.js';
import { Netns } from './netns.js';
import type { Puppet, PuppetSocket } from './puppet.js';
import type { Sandbox } from './sandbox.js';

/** Addresses of the two ends of the wire. */
export const HERE = { v4: '10.9.0.1', v6: 'fd00:9::1' } as const;
export const THERE = { v4: '10.9.0.2', v6: 'fd00:9::2' } as const;

/** Opened before anybody moves. */
const HOME = `/proc/self/fd/${String(openSync('/proc/self/ns/net', 'r'))}`;

export class Wire {
  readonly inside = new Netns();
  readonly outside = new Netns();

  constructor() {
    this.connect();
    this.enter('inside');
  }

  /** Makes the veth called `wire` at both ends, with its addresses. */
  connect(): void {
    // Few frames that are not a test's own: what is left are listener reports, from ::.
    for (const netns of [this.inside, this.outside]) {
      netns.sysctl('net/ipv6/conf/default/router_solicitations', '0');
      netns.sysctl('net/ipv6/conf/default/addr_gen_mode', '1');
      netns.sysctl('net/ipv6/conf/default/mldv2_unsolicited_report_interval', '0');
    }
    this.inside.join(
      this.outside,
      [`${HERE.v4}/24`, `${HERE.v6}/64`],
      [`${THERE.v4}/24`, `${THERE.v6}/64`],
    );
  }

  /** A socket at the far end that sends frames as they are. */
  async sender(box: Sandbox, device = 'wire'): Promise<PuppetSocket> {
    const socket = await this.puppet(box).socket('AF_PACKET', 'SOCK_RAW');
    await socket.do('bind', [device, 0]);
    return socket;
  }

  /** A process at the far end. */
  puppet(box: Sandbox): Puppet {
    return box.puppet(box.cgroup('outside'), this.outside.name);
  }

  /** A process at our end. */
  local(box: Sandbox): Puppet {
    return box.puppet(box.cgroup('inside'), this.inside.name);
  }

  /** Moves this process to one of the two ends. */
  enter(end: 'inside' | 'outside'): void {
    setNetns(`/run/netns/${this[end].name}`);
  }

  close(): void {
    setNetns(HOME);
    this.inside.close();
    this.outside.close();
  }
}

/** The rules of a policy of interfaces with what they counted: `{'0': 3, default: 1}`; zeros are left out. */
export async function countsOf(box: Sandbox, policy = 'edge'): Promise<Record<string, number>> {
  const status = (await box.json('status', box.policyFile)) as unknown as InterfaceStatus;
  const rules = status.interfacePolicies.find(({ name }) => name === policy)?.rules ?? [];
  return Object.fromEntries(
    rules.filter(({ packets }) => packets > 0).map(({ name, packets }) => [name, packets]),
  );
}

export interface InterfaceStatus {
  readonly asDeclared: boolean;
  readonly interfaces: readonly {
    readonly name: string;
    readonly ifindex: number | null;
    readonly policy: string;
    readonly mode: string | null;
    readonly state: string;
    readonly reason?: string;
  }[];
  readonly interfacePolicies: readonly {
    readonly name: string;
    readonly rules: readonly {
      readonly name: string;
      readonly packets: number;
      readonly bytes: number;
    }[];
  }[];
  readonly frames: { readonly notIp: number };
  readonly faults: Readonly<Record<string, number>>;
}

export async function statusOf(box: Sandbox): Promise<InterfaceStatus> {
  return (await box.json('status', box.policyFile)) as unknown as InterfaceStatus;
}

/** One policy, called edge, for `wire` unless something else is said. */
export function edge(
  ingress: string,
  more: { readonly interfaces?: string; readonly attach?: string } = {},
): string {
  return `version: 1
interfaces:
  - name: edge
    interfaces: ${more.interfaces ?? '[wire]'}
    attach: ${more.attach ?? 'auto'}
    ingress: ${ingress}
`;
}
