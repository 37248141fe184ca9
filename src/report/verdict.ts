// A verdict event in the words of the policy file, for logs, streams and people.

import type { EventHook, RawEvent } from '../abi/event.js';
import { policyOfRule } from '../compile/program.js';
import type { Names } from '../compile/program.js';
import { PROTOCOLS } from '../policy/protocols.js';

/** One line of `cgfw events --json`; absent fields are not known at that hook. */
export interface VerdictEvent {
  readonly time: string;
  readonly policy: string | null;
  readonly cgroup: string | null;
  readonly hook: EventHook;
  readonly verdict: 'allow' | 'drop' | 'reject';
  /** Only where it was decided, but let pass. */
  readonly mode?: 'audit';
  readonly direction: 'egress' | 'ingress';
  readonly rule: string | null;
  readonly line: number | null;
  readonly proto: string;
  readonly src?: string;
  readonly sport?: number;
  readonly dst?: string;
  readonly dport?: number;
  /** ICMP and ICMPv6 type. */
  readonly type?: number;
  readonly length: number;
  readonly cookie: number;
  readonly pid?: number;
  readonly comm?: string;
  readonly ifname?: string;
}

export interface EventSurroundings {
  /** Names of the generation that decided; null when it is forgotten. */
  readonly names: Names | null;
  readonly cgroupPath: (id: number) => string | null;
  readonly interfaceName: (ifindex: number) => string | null;
  /** Milliseconds since the epoch at which the monotonic clock was 0. */
  readonly clockOriginMs: number;
}

const PROTOCOL_NAMES = new Map(Object.entries(PROTOCOLS).map(([name, number]) => [number, name]));
const ICMP = [PROTOCOLS['icmp'], PROTOCOLS['icmpv6']];

/** Puts names to numbers. Pure. */
export function describeEvent(raw: RawEvent, around: EventSurroundings): VerdictEvent {
  const rule = around.names?.rules[raw.rule];
  const policy =
    rule === undefined || around.names === null ? undefined : policyOfRule(around.names, rule);
  return {
    time: new Date(around.clockOriginMs + Number(raw.timeNs / 1000n) / 1000).toISOString(),
    policy: policy?.name ?? null,
    cgroup: raw.cgroup === 0 ? null : around.cgroupPath(raw.cgroup),
    hook: raw.hook,
    verdict: raw.action,
    ...(raw.isAudit ? { mode: 'audit' as const } : {}),
    direction:
      rule?.direction ?? (raw.hook === 'ingress' || raw.hook === 'xdp' ? 'ingress' : 'egress'),
    rule: rule?.name ?? null,
    line: rule?.line ?? null,
    proto: PROTOCOL_NAMES.get(raw.protocol) ?? String(raw.protocol),
    ...endpoints(raw),
    length: raw.length,
    cookie: Number(raw.cookie),
    ...(raw.pid === 0 ? {} : { pid: raw.pid, comm: raw.comm }),
    ...interfaceOf(raw, around),
  };
}

function endpoints(raw: RawEvent): Partial<VerdictEvent> {
  if (raw.hook === 'socket') return {};
  const hasPorts = raw.sourcePort !== 0 || raw.destinationPort !== 0;
  const isIcmp = ICMP.includes(raw.protocol);
  if (raw.hook === 'connect') return { dst: raw.destination, dport: raw.destinationPort };
  return {
    src: raw.source,
    ...(hasPorts && !isIcmp ? { sport: raw.sourcePort } : {}),
    dst: raw.destination,
    ...(hasPorts && !isIcmp ? { dport: raw.destinationPort } : {}),
    ...(isIcmp ? { type: raw.destinationPort } : {}),
  };
}

function interfaceOf(raw: RawEvent, around: EventSurroundings): Partial<VerdictEvent> {
  const ifname = raw.ifindex === 0 ? null : around.interfaceName(raw.ifindex);
  return ifname === null ? {} : { ifname };
}

/** `drop  web egress#0  tcp 10.0.0.5:40112 -> 1.1.1.1:80  curl[1234]` */
export function renderEvent(event: VerdictEvent): string {
  const verdict = event.mode === 'audit' ? `audit:${event.verdict}` : event.verdict;
  const place = event.hook === 'xdp' ? `xdp ${event.ifname ?? 'a vanished interface'}` : event.hook;
  const task = event.pid === undefined ? '' : `  ${event.comm ?? '?'}[${String(event.pid)}]`;
  const rule = `${event.policy ?? '?'} ${event.direction}#${event.rule ?? '?'}`;
  return `${verdict.padEnd(6)}  ${rule}  ${flowOf(event)}${task}  (${place})`;
}

function flowOf(event: VerdictEvent): string {
  if (event.hook === 'socket') return `raw socket (${event.proto})`;
  const end = (address: string | undefined, port: number | undefined): string => {
    if (address === undefined) return '';
    if (port === undefined) return address;
    return address.includes(':') ? `[${address}]:${String(port)}` : `${address}:${String(port)}`;
  };
  const type = event.type === undefined ? '' : ` type ${String(event.type)}`;
  const source = event.src === undefined ? '' : `${end(event.src, event.sport)} `;
  return `${event.proto}${type} ${source}-> ${end(event.dst, event.dport)}`;
}
