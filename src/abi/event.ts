// One record of the event ring as a value.

import { formatAddress } from '../base/address.js';
import { action, event as at, hook } from './layout.gen.js';

/** What a hook saw and decided; addresses as text, `rule` absolute in its generation. */
export interface RawEvent {
  readonly timeNs: bigint;
  readonly generation: number;
  readonly cookie: string;
  readonly cgroup: number;
  readonly rule: number;
  readonly pid: number;
  readonly comm: string;
  readonly length: number;
  readonly ifindex: number;
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  /** For ICMP and ICMPv6: the type. */
  readonly destinationPort: number;
  readonly hook: EventHook;
  readonly action: 'allow' | 'drop' | 'reject';
  /** Decided, but let pass. */
  readonly isAudit: boolean;
}

export type EventHook = 'connect' | 'sendmsg' | 'egress' | 'ingress' | 'xdp' | 'socket';

const HOOK_NAMES: Record<number, EventHook> = {
  [hook.HOOK_CONNECT]: 'connect',
  [hook.HOOK_SENDMSG]: 'sendmsg',
  [hook.HOOK_EGRESS]: 'egress',
  [hook.HOOK_INGRESS]: 'ingress',
  [hook.HOOK_XDP]: 'xdp',
  [hook.HOOK_SOCKET]: 'socket',
};

const ACTION_NAMES: Record<number, RawEvent['action']> = {
  [action.ACTION_ALLOW]: 'allow',
  [action.ACTION_DROP]: 'drop',
  [action.ACTION_REJECT]: 'reject',
};

/** Bytes of one record. */
export const EVENT_SIZE = at.size;

/** Decodes the record at `offset`; the view must hold EVENT_SIZE bytes from there. */
export function decodeEvent(view: DataView, offset: number): RawEvent {
  const u8 = (field: number): number => view.getUint8(offset + field);
  const u16 = (field: number): number => view.getUint16(offset + field, true);
  const u32 = (field: number): number => view.getUint32(offset + field, true);
  const u64 = (field: number): bigint => view.getBigUint64(offset + field, true);
  const family = u8(at.family) === 6 ? 6 : 4;
  const address = (field: number): string =>
    formatAddress(family, [u32(field), u32(field + 4), u32(field + 8), u32(field + 12)]);
  return {
    timeNs: u64(at.time_ns),
    generation: Number(u64(at.generation)),
    cookie: u64(at.cookie).toString(),
    cgroup: Number(u64(at.cgroup)),
    rule: u32(at.rule),
    pid: u32(at.pid),
    comm: text(view, offset + at.comm, 16),
    length: u32(at.length),
    ifindex: u32(at.ifindex),
    family,
    protocol: u8(at.protocol),
    source: address(at.source),
    sourcePort: u16(at.source_port),
    destination: address(at.destination),
    destinationPort: u16(at.destination_port),
    hook: HOOK_NAMES[u8(at.hook)] ?? 'egress',
    action: ACTION_NAMES[u8(at.action)] ?? 'drop',
    isAudit: u8(at.audit) === 1,
  };
}

function text(view: DataView, offset: number, size: number): string {
  const bytes = Buffer.from(view.buffer, view.byteOffset + offset, size);
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? size : end);
}
