// Acceleration of local TCP (bpf/accelerate.bpf.c): whether this kernel can do it, the
// maps that outlive a set of programs, and what they say.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { acceleration as at, end as endAt, end_key as keyAt } from '../abi/layout.gen.js';
import { openPinnedMap, probeHelper, probeMapType, probeProgramType } from './native.js';
import type { BpfMap } from './native.js';

/** Maps of acceleration, made when the first policy asks for it, pinned beside the shared ones. */
export const ACCELERATION_MAPS = ['sockets', 'ends', 'members', 'acceleration'] as const;

export type AccelerationMaps = Readonly<Record<(typeof ACCELERATION_MAPS)[number], BpfMap>>;

export function isAccelerationMap(name: string): name is keyof AccelerationMaps {
  return ACCELERATION_MAPS.some((own) => own === name);
}

/** enum bpf_func_id. */
const SK_STORAGE_GET = 107;
const PROBE_READ_KERNEL = 113;
const NETNS_COOKIE = 122;
const SKC_TO_TCP_SOCK = 137;
const SET_RETVAL = 187;
/** Came with the release in which a socket keeps what it was handed until it is closed. */
const SKC_TO_MPTCP_SOCK = 196;

let isAble: boolean | undefined;

/**
 * Whether this kernel has what acceleration needs: Linux 5.19 with type information of
 * its own (BTF), which says where the fields lie that are looked at. Probed once.
 */
export function canAccelerate(): boolean {
  return (isAble ??=
    existsSync('/sys/kernel/btf/vmlinux') &&
    probeProgramType('sock_ops') &&
    probeProgramType('sk_msg') &&
    probeMapType('sockhash') &&
    probeHelper('sock_ops', NETNS_COOKIE) &&
    probeHelper('sk_msg', SK_STORAGE_GET) &&
    probeHelper('sk_msg', SKC_TO_TCP_SOCK) &&
    probeHelper('sk_msg', PROBE_READ_KERNEL) &&
    probeHelper('sk_msg', SKC_TO_MPTCP_SOCK) &&
    probeHelper('cgroup_sockopt', SET_RETVAL));
}

/** null: no policy has asked for acceleration since the first load. */
export function openAccelerationMaps(pinRoot: string): AccelerationMaps | null {
  const maps: Partial<Record<keyof AccelerationMaps, BpfMap>> = {};
  const paths = ACCELERATION_MAPS.map((name) => [name, join(pinRoot, 'shared', name)] as const);
  if (!paths.every(([, path]) => existsSync(path))) return null;
  for (const [name, path] of paths) maps[name] = openPinnedMap(path);
  return maps as AccelerationMaps;
}

/** As `cgfw status` shows it; `connections` are pairs of which one end is redirected. */
export interface AccelerationCounts {
  readonly connections: number;
  readonly redirected: number;
  readonly messages: number;
  readonly bytes: number;
  readonly fallbacks: Readonly<Record<string, number>>;
}

const REASONS = {
  data: at.PASSED_DATA,
  noPeer: at.PASSED_NO_PEER,
  taken: at.PASSED_TAKEN,
  full: at.PASSED_FULL,
  denied: at.PASSED_DENIED,
  logged: at.PASSED_LOGGED,
  backlog: at.PASSED_BACKLOG,
  off: at.PASSED_OFF,
  outdated: at.PASSED_OUTDATED,
  deep: at.PASSED_DEEP,
  option: at.PASSED_OPTION,
  small: at.PASSED_SMALL,
  withPeer: at.PASSED_WITH_PEER,
  interface: at.PASSED_INTERFACE,
} as const;

/** Reads the counts, and counts the pairs of sockets that are in the table. */
export function readAcceleration(maps: AccelerationMaps): AccelerationCounts {
  const words = maps.acceleration.sumPerCpu(0, at.ACCELERATION_MAX);
  const count = (index: number): number => Number(words[index] ?? 0n);
  const fallbacks = Object.entries(REASONS).map(([name, index]) => [name, count(index)] as const);
  return {
    connections: countConnections(maps),
    redirected: count(at.ACCELERATED),
    messages: count(at.ACCELERATED_MESSAGES),
    bytes: count(at.ACCELERATED_BYTES),
    fallbacks: Object.fromEntries(fallbacks),
  };
}

/**
 * Pairs of sockets that are both in the table, where at least one redirects what it
 * sends. A key begins with the namespace; local and remote lie beside one another.
 */
function countConnections({ sockets, ends }: AccelerationMaps): number {
  const redirecting = new Map<string, boolean>();
  for (const key of sockets.keys()) {
    const end = ends.lookup(key);
    const isPassed = end !== null && viewOf(end).getUint32(endAt.is_passed, true) === 1;
    redirecting.set(Buffer.from(key).toString('latin1'), !isPassed);
  }
  const isOne = ([key, redirects]: [string, boolean]): boolean => {
    const other = Buffer.from(reversed(Buffer.from(key, 'latin1'))).toString('latin1');
    const theirs = redirecting.get(other);
    return theirs !== undefined && (redirects || theirs) && key < other;
  };
  return [...redirecting].filter(isOne).length;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The other end's key. */
function reversed(key: Uint8Array): Uint8Array {
  const other = Uint8Array.from(key);
  const copy = (from: number, to: number, length: number): void =>
    other.set(key.subarray(from, from + length), to);
  copy(keyAt.local, keyAt.remote, 16);
  copy(keyAt.remote, keyAt.local, 16);
  copy(keyAt.local_port, keyAt.remote_port, 2);
  copy(keyAt.remote_port, keyAt.local_port, 2);
  return other;
}
