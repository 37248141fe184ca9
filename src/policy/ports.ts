// The forms of `ports`: text to ranges of service points.

import {
  POINT_ICMP,
  POINT_ICMPV6,
  POINT_PROTO,
  POINT_SCTP,
  POINT_TCP,
  POINT_UDP,
} from '../abi/points.js';
import type { DiagnosticCode } from '../base/error.js';
import { nearest, quote } from '../base/suggest.js';
import { EXTENSION_HEADERS, ICMP_TYPES, ICMPV6_TYPES, PROTOCOLS } from './protocols.js';

/** Pairs [first, last] of points, in no order. */
export interface Points {
  readonly kind: 'points';
  readonly points: readonly (readonly [number, number])[];
}

/** Why a text is no port form. */
export interface BadPorts {
  readonly kind: 'bad';
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly fix: string;
}

const BASES: Readonly<Record<string, number>> = {
  tcp: POINT_TCP,
  udp: POINT_UDP,
  sctp: POINT_SCTP,
};
const PORT_FIX = 'use a port from 1 to 65535 or a range such as 8000-8999';
const FORM_FIX =
  'write a port such as 443/tcp, a range such as 8000-8999/tcp, a protocol or a service';

function bad(code: DiagnosticCode, message: string, fix: string): BadPorts {
  return { kind: 'bad', code, message, fix };
}

function points(...pairs: (readonly [number, number])[]): Points {
  return { kind: 'points', points: pairs };
}

/**
 * Reads one port form other than a service name. The text is what stands in
 * the file, so that 0x50 and 1_000 are seen and not their values. Undefined
 * when it looks like a name: the caller knows the services.
 */
export function parsePorts(text: string): Points | BadPorts | undefined {
  const [left = '', right, ...rest] = text.split('/');
  if (rest.length > 0) return bad('port', `${quote(text)} has more than one slash`, FORM_FIX);
  if (/^[0-9+-]/.test(left) || /^\.[0-9]/.test(left)) return parseNumbers(left, right);
  if (left === 'icmp') return icmp(right, 'icmp', POINT_ICMP, ICMP_TYPES);
  if (left === 'icmpv6') return icmp(right, 'icmpv6', POINT_ICMPV6, ICMPV6_TYPES);
  if (left === 'proto') return numberedProtocol(text, right);
  if (right !== undefined) return reversed(text, left, right);
  const protocol = Object.hasOwn(PROTOCOLS, left) ? PROTOCOLS[left] : undefined;
  return protocol === undefined ? explainName(left) : wholeProtocol(protocol);
}

function parseNumbers(left: string, protocol: string | undefined): Points | BadPorts {
  const range = portRange(left, protocol === undefined ? '' : `/${protocol}`);
  if ('kind' in range) return range;
  const [first, last] = range;
  if (protocol === undefined)
    return points([POINT_TCP + first, POINT_TCP + last], [POINT_UDP + first, POINT_UDP + last]);
  const base = Object.hasOwn(BASES, protocol) ? BASES[protocol] : undefined;
  if (base !== undefined) return points([base + first, base + last]);
  if (Object.hasOwn(PROTOCOLS, protocol))
    return bad(
      'protocol',
      `${protocol} has no ports; tcp, udp and sctp have`,
      `write ${protocol} alone`,
    );
  const near = nearest(protocol, Object.keys(BASES));
  const fix =
    near === undefined ? 'write tcp, udp or sctp after the slash' : `did you mean ${left}/${near}?`;
  return bad(
    'protocol',
    `the protocol ${quote(protocol)} is not known for ports; tcp, udp and sctp are`,
    fix,
  );
}

function portRange(text: string, suffix: string): readonly [number, number] | BadPorts {
  if (/^[0-9]+,/.test(text))
    return bad(
      'port',
      `${quote(text)} has a comma in it`,
      'write the ports as items of the list, such as [80, 443]',
    );
  if (/^[0-9]+:[0-9]+$/.test(text))
    return bad(
      'port',
      `${quote(text)} has a colon in it`,
      `write ${text.replace(':', '-')}${suffix}`,
    );
  if (/^[0-9]+-$/.test(text))
    return bad('port-range', `the range ${quote(text)} has no end`, `write ${text}65535${suffix}`);
  const parts = text.split('-');
  if (parts.length > 2 || parts[0] === '')
    return bad('port', `${quote(text)} is not a port`, PORT_FIX);
  const numbers: number[] = [];
  for (const part of parts) {
    const port = portOf(part.trim() === part ? part : ' ');
    if (typeof port !== 'number') return port;
    numbers.push(port);
  }
  const [first = 0, last = first] = numbers;
  if (first > last)
    return bad(
      'port-range',
      `the range ${text}${suffix} is reversed`,
      `write ${last}-${first}${suffix}`,
    );
  return [first, last];
}

function portOf(text: string): number | BadPorts {
  const found = quote(text);
  if (/^[0-9]+$/.test(text)) {
    if (text.length > 1 && text.startsWith('0'))
      return bad(
        'port',
        `the port ${text} has a leading zero`,
        `write ${text.replace(/^0+(?=.)/, '')}`,
      );
    if (Number(text) > 65535) return bad('port-range', `port ${text} is above 65535`, PORT_FIX);
    return text === '0' ? bad('port-range', 'port 0 is not a port', PORT_FIX) : Number(text);
  }
  if (/^0[xob]/i.test(text)) {
    const value = Number(text);
    return bad(
      'port',
      `the port ${found} is not written in decimal`,
      value > 0 && value < 65536 ? `write ${value}` : PORT_FIX,
    );
  }
  if (/^[0-9_]+$/.test(text))
    return bad('port', `the port ${found} has an underscore`, `write ${text.replaceAll('_', '')}`);
  if (/^\+[0-9]+$/.test(text))
    return bad('port', `the port ${found} has a sign`, `write ${text.slice(1)}`);
  if (/^[0-9.]+(e[+-]?[0-9]+)?$/i.test(text))
    return bad('port', `the port ${found} is not a whole number in digits`, PORT_FIX);
  return bad('port', `${found} is not a port`, PORT_FIX);
}

function icmp(
  type: string | undefined,
  name: string,
  base: number,
  types: Readonly<Record<string, number>>,
): Points | BadPorts {
  if (type === undefined) return wholeProtocol(PROTOCOLS[name] ?? 0);
  if (/^(0|[1-9][0-9]{0,2})$/.test(type) && Number(type) <= 255)
    return points([base + Number(type), base + Number(type)]);
  const known = Object.hasOwn(types, type) ? types[type] : undefined;
  if (known !== undefined) return points([base + known, base + known]);
  if (/^[0-9]+$/.test(type))
    return bad(
      'icmp-type',
      `${type} is not an ICMP type; they go from 0 to 255`,
      `write, for example, ${name}/echo-request`,
    );
  const [other, otherTypes] = name === 'icmp' ? ['icmpv6', ICMPV6_TYPES] : ['icmp', ICMP_TYPES];
  if (Object.hasOwn(otherTypes, type))
    return bad('icmp-type', `${name} has no type ${type}, ${other} has`, `write ${other}/${type}`);
  const near = nearest(type, Object.keys(types));
  const fix =
    near === undefined
      ? `write a number or a name such as ${name}/echo-request`
      : `did you mean ${name}/${near}?`;
  return bad('icmp-type', `the ${name} type ${quote(type)} is not known`, fix);
}

function numberedProtocol(written: string, text: string | undefined): Points | BadPorts {
  const isNumber = text !== undefined && /^(0|[1-9][0-9]{0,2})$/.test(text) && Number(text) <= 255;
  if (!isNumber)
    return bad(
      'protocol',
      `${quote(written)} has no protocol number; they go from 1 to 255`,
      'write, for example, proto/47',
    );
  const header = EXTENSION_HEADERS[Number(text)];
  if (header !== undefined) {
    return bad(
      'protocol',
      `protocol ${text} (${header}) is an extension header: packets are decided by the protocol after it`,
      'name that protocol, such as tcp',
    );
  }
  return wholeProtocol(Number(text));
}

/** A protocol with everything in it; also its packets whose ports cannot be read. */
function wholeProtocol(protocol: number): Points {
  const alone = [POINT_PROTO + protocol, POINT_PROTO + protocol] as const;
  switch (protocol) {
    case 6:
      return points([POINT_TCP, POINT_TCP + 65535], alone);
    case 17:
      return points([POINT_UDP, POINT_UDP + 65535], alone);
    case 132:
      return points([POINT_SCTP, POINT_SCTP + 65535], alone);
    case 1:
      return points([POINT_ICMP, POINT_ICMP + 255], alone);
    case 58:
      return points([POINT_ICMPV6, POINT_ICMPV6 + 255], alone);
    default:
      return points(alone);
  }
}

function reversed(text: string, left: string, right: string): BadPorts {
  if (Object.hasOwn(BASES, left.toLowerCase()) && /^[0-9]/.test(right)) {
    return bad(
      'port',
      `${quote(text)} has the protocol before the port`,
      `write ${right}/${left.toLowerCase()}`,
    );
  }
  return bad('port', `${quote(text)} is not a port`, FORM_FIX);
}

/** Words that are neither protocols nor possible service names; undefined leaves it to the services. */
function explainName(word: string): BadPorts | undefined {
  if (word === 'any' || word === 'all' || word === '*')
    return bad('port', `${quote(word)} is not a port`, 'leave ports out to mean everything');
  if (word === 'icmp6' || word === 'ipv6-icmp')
    return bad('protocol', `the protocol ${word} is not known`, 'did you mean icmpv6?');
  return word === '' ? bad('port', 'the port is empty', FORM_FIX) : undefined;
}
