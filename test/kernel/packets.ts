// Packets by hand, for what no ordinary socket sends.

import { parseAddress } from '../../src/base/address.js';

/** Big-endian bytes of a number. */
function be(value: number, bytes: number): number[] {
  return Array.from(
    { length: bytes },
    (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff,
  );
}

export function addressBytes(address: string): number[] {
  const parsed = parseAddress(address);
  if (parsed.kind !== 'prefix') throw new Error(`${address} ${parsed.reason}`);
  return [...parsed.first].slice(0, parsed.family === 4 ? 1 : 4).flatMap((word) => be(word, 4));
}

function checksum(bytes: readonly number[]): number {
  let sum = 0;
  bytes.forEach((byte, i) => (sum += i % 2 === 0 ? byte << 8 : byte));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** What a raw socket of the puppet is given. */
export function asText(packet: readonly number[]): { bytes: string } {
  return { bytes: String.fromCharCode(...packet) };
}

export interface Ends {
  readonly source: string;
  readonly destination: string;
}

export interface Ipv4 extends Ends {
  readonly protocol: number;
  readonly payload?: readonly number[];
  /** Padded to a multiple of four. */
  readonly options?: readonly number[];
  /** Offset of the fragment in units of eight bytes. */
  readonly fragment?: number;
  readonly version?: number;
  /** Header length in words; by default what the options need. */
  readonly words?: number;
}

export function ipv4(packet: Ipv4): number[] {
  const { payload = [], options = [], fragment = 0, version = 4 } = packet;
  const padded = [...options, ...Array<number>((4 - (options.length % 4)) % 4).fill(0)];
  const words = packet.words ?? 5 + padded.length / 4;
  const rest = [...addressBytes(packet.source), ...addressBytes(packet.destination), ...padded];
  const length = 12 + rest.length + payload.length;
  const start = [
    (version << 4) | words,
    0,
    ...be(length, 2),
    0x12,
    0x34,
    ...be(fragment, 2),
    64,
    packet.protocol,
  ];
  return [...start, ...be(checksum([...start, 0, 0, ...rest]), 2), ...rest, ...payload];
}

export interface Ipv6 extends Ends {
  readonly next: number;
  readonly payload?: readonly number[];
  readonly version?: number;
}

export function ipv6({ source, destination, next, payload = [], version = 6 }: Ipv6): number[] {
  const start = [version << 4, 0, 0, 0, ...be(payload.length, 2), next, 64];
  return [...start, ...addressBytes(source), ...addressBytes(destination), ...payload];
}

export interface Ports {
  readonly from: number;
  readonly to: number;
}

export const SYN = 0x02;
export const ACK = 0x10;

/** A TCP segment without data; its checksum covers the ends, IPv4 or IPv6. */
export function tcp(ends: Ends, { from, to }: Ports, flags: number): number[] {
  const start = [...be(from, 2), ...be(to, 2), 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0];
  return withChecksum(ends, 6, [...start, 0, 0, 0, 0], 16);
}

export function udp(ends: Ends, { from, to }: Ports, payload: readonly number[] = []): number[] {
  return withChecksum(
    ends,
    17,
    [...be(from, 2), ...be(to, 2), ...be(8 + payload.length, 2), 0, 0, ...payload],
    6,
  );
}

function withChecksum(
  ends: Ends,
  protocol: number,
  bytes: readonly number[],
  at: number,
): number[] {
  const pseudo = [
    ...addressBytes(ends.source),
    ...addressBytes(ends.destination),
    0,
    protocol,
    ...be(bytes.length, 2),
  ];
  const sum = be(checksum([...pseudo, ...bytes]), 2);
  return [...bytes.slice(0, at), ...sum, ...bytes.slice(at + 2)];
}

/** An IPv6 extension header of 8 * (1 + `more`) bytes, its options all padding. */
export function extension(next: number, more = 0): number[] {
  const padding = 8 * (1 + more) - 2;
  const options: number[] = [];
  for (let left = padding; left > 0;) {
    const size = Math.min(left, 255);
    options.push(...(size === 1 ? [0] : [1, size - 2, ...Array<number>(size - 2).fill(0)]));
    left -= size;
  }
  return [next, more, ...options];
}

/** A fragment header; `offset` in units of eight bytes. */
export function fragmentHeader(next: number, offset: number): number[] {
  return [next, 0, ...be((offset << 3) | 1, 2), 0, 0, 0, 7];
}

/** A routing header of type 4 with one segment, the final destination. */
export function routingHeader(next: number, segmentsLeft: number, final: string): number[] {
  return [next, 2, 4, segmentsLeft, 0, 0, 0, 0, ...addressBytes(final)];
}
