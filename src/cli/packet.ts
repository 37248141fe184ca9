// `egress tcp 1.2.3.4:443` as the packet that explain asks about.

import type { Packet } from '../agent/explain.js';
import { parseAddress } from '../base/address.js';
import { CgfwError } from '../base/error.js';
import { POINT_PROTO } from '../abi/points.js';
import { parsePorts } from '../policy/ports.js';
import { PROTOCOLS } from '../policy/protocols.js';

const FORMS =
  'write it as: egress tcp 1.2.3.4:443, ingress udp [fd00::1]:53, egress icmp/echo-request 1.2.3.4 or egress gre 1.2.3.4';

/** Reads direction, protocol and remote address with port. Throws `usage` with the forms. */
export function parsePacket(direction: string, protocol: string, target: string): Packet {
  if (direction !== 'egress' && direction !== 'ingress')
    throw usage(`${direction} is not a direction: egress and ingress are`);
  const { address, port } = splitTarget(target);
  const parsed = parseAddress(address);
  if (parsed.kind !== 'prefix') throw usage(`${address} ${parsed.reason}`);
  if (port === null && parsed.family === 6 && NEED_PORT.includes(protocol)) {
    const [, before, last] = /^(.*[^:]):(\d+)$/.exec(target) ?? [];
    const meant = before === undefined ? '[ADDRESS]:PORT' : `[${before}]:${last ?? ''}`;
    throw new CgfwError(`${protocol} needs a port`, { code: 'usage', fix: `write ${meant}` });
  }
  return { direction, family: parsed.family, words: parsed.first, point: pointOf(protocol, port) };
}

const NEED_PORT = ['tcp', 'udp', 'sctp'];

function splitTarget(target: string): { address: string; port: string | null } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(target);
  if (bracketed !== null) return { address: bracketed[1] ?? '', port: bracketed[2] ?? null };
  const colon = target.indexOf(':');
  if (colon < 0 || target.includes(':', colon + 1)) return { address: target, port: null };
  return { address: target.slice(0, colon), port: target.slice(colon + 1) };
}

function pointOf(protocol: string, port: string | null): number {
  const text = port === null ? protocol : `${port}/${protocol}`;
  const found = parsePorts(text);
  if (found === undefined) throw usage(`${protocol} is not a protocol`);
  if (found.kind !== 'points') throw usage(found.message);
  const [first] = found.points;
  if (first === undefined) throw usage(`${text} is not a port`);
  if (port !== null || protocol.includes('/')) return first[0];
  if (NEED_PORT.includes(protocol)) throw usage(`${protocol} needs a port`);
  const number = PROTOCOLS[protocol];
  return number === undefined ? first[0] : POINT_PROTO + number;
}

function usage(message: string): CgfwError {
  return new CgfwError(message, { code: 'usage', fix: FORMS });
}
