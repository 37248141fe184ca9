// A policy that would drop what an operator's SSH connection receives is not put
// into force by accident: it would take away the means to mend it.

import { networkInterfaces } from 'node:os';
import { POINT_TCP } from '../abi/points.js';
import { CgfwError } from '../base/error.js';
import { policyOfRule } from '../compile/program.js';
import type { Program, RuleName } from '../compile/program.js';
import { verdictOf } from '../compile/lookup.js';
import type { InterfaceAttachment, State } from '../compile/state.js';
import { sshConnections } from '../kernel/connections.js';
import type { Connection } from '../kernel/connections.js';
import type { NetInterface } from '../kernel/native.js';
import type { Prospect } from './prospect.js';

export interface Lockout {
  readonly connection: Connection;
  readonly interface: string;
  readonly policy: string;
  readonly rule: RuleName;
}

/** The own addresses of interfaces, by their names. */
export type Addresses = ReadonlyMap<string, ReadonlySet<string>>;

/** What a prospect would lock out that is not locked out already. */
export function lockoutsOf(
  { program, desired, loaded, plan, devices }: Prospect,
  env: NodeJS.ProcessEnv,
): Lockout[] {
  const isAboutInterfaces = plan.actions.some(({ op }) => op === 'switch' || op === 'attach');
  if (program === null || program.names.interfaces.length === 0 || !isAboutInterfaces) return [];
  return findLockouts({ program, desired, loaded }, devices, hostAddresses(), sshConnections(env));
}

function hostAddresses(): Addresses {
  return new Map(
    Object.entries(networkInterfaces()).map(([name, own]) => [
      name,
      new Set((own ?? []).map(({ address }) => address)),
    ]),
  );
}

interface Judged {
  readonly program: Program;
  readonly desired: Pick<State, 'interfaces'>;
  readonly loaded: Pick<State, 'program' | 'interfaces'>;
}

/** Pure: each connection on each interface over which it may come. */
export function findLockouts(
  { program, desired, loaded }: Judged,
  devices: readonly NetInterface[],
  addresses: Addresses,
  connections: readonly Connection[],
): Lockout[] {
  const before = new Map(loaded.interfaces.map((attachment) => [attachment.ifindex, attachment]));
  return connections.flatMap((connection) => {
    const carriers = carriersOf(connection, devices, addresses);
    return desired.interfaces.flatMap((attachment): Lockout[] => {
      if (carriers !== 'any' && !carriers.has(attachment.ifindex)) return [];
      const rule = ruleFor(program, attachment, connection);
      const old = before.get(attachment.ifindex);
      const wasDropped =
        old !== undefined &&
        loaded.program !== null &&
        ruleFor(loaded.program, old, connection)?.action === 'drop';
      if (rule?.action !== 'drop' || wasDropped) return [];
      const policy = policyOfRule(program.names, rule)?.name ?? '?';
      return [{ connection, interface: attachment.name, policy, rule }];
    });
  });
}

function ruleFor(
  program: Program,
  { policy }: InterfaceAttachment,
  { local, remote }: Connection,
): RuleName | undefined {
  if (policy === 0) return undefined;
  const point = POINT_TCP + local.port;
  return program.names.rules[
    verdictOf(program.tables, policy, 'ingress', remote.family, remote.words, point)
  ];
}

/**
 * Interfaces over which the packets of a connection may come: the one with its
 * local address, and those below it (ports of a bridge or bond, what a VLAN
 * stands on). When no interface has the address, it may be any.
 */
function carriersOf(
  connection: Connection,
  devices: readonly NetInterface[],
  addresses: Addresses,
): ReadonlySet<number> | 'any' {
  const has = (name: string, text: string): boolean => addresses.get(name)?.has(text) === true;
  const own = devices.filter(({ name }) => has(name, connection.local.text));
  const isLocal =
    devices.some(({ name }) => has(name, connection.remote.text)) ||
    connection.remote.text.startsWith('127.');
  if (isLocal)
    return new Set(devices.filter(({ name }) => name === 'lo').map(({ ifindex }) => ifindex));
  const outer = own.filter(({ name }) => name !== 'lo');
  if (outer.length === 0) return 'any';
  const carriers = new Set(outer.map(({ ifindex }) => ifindex));
  for (let size = 0; size !== carriers.size;) {
    size = carriers.size;
    for (const { ifindex, kind, master, lower } of devices) {
      if (carriers.has(master)) carriers.add(ifindex);
      if (carriers.has(ifindex) && lower !== 0 && kind !== 'veth') carriers.add(lower);
    }
  }
  return carriers;
}

/** `10.0.0.5:50122 -> 10.0.0.1:22 on eth0 by edge ingress#default (line 9)` */
export function describeLockout({
  connection: { local, remote },
  interface: name,
  policy,
  rule,
}: Lockout): string {
  const end = ({ family, text, port }: Connection['local']): string =>
    `${family === 6 ? `[${text}]` : text}:${String(port)}`;
  return `${end(remote)} -> ${end(local)} on ${name} by ${policy} ingress#${rule.name} (line ${String(rule.line)})`;
}

/** Throws `lockout` with the connections named. */
export function refuseLockouts(lockouts: readonly Lockout[]): void {
  const [first, ...more] = lockouts;
  if (first === undefined) return;
  const others = more.length === 0 ? '' : `, and ${String(more.length)} more`;
  const { connection, interface: name } = first;
  throw new CgfwError(
    `this policy would drop an established SSH connection: ${describeLockout(first)}${others}`,
    {
      code: 'lockout',
      fix:
        `allow it above: {action: allow, from: ${quoted(connection.remote.text)}, ports: [${String(connection.local.port)}/tcp]}, ` +
        `leave ${name} out, or use cgfw apply --force`,
    },
  );
}

function quoted(address: string): string {
  return address.includes(':') ? `"${address}"` : address;
}
