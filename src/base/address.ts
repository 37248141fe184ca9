// IPv4 and IPv6 addresses and prefixes: a strict reader and an RFC 5952 writer.
//
// A firewall must not guess. 010.0.0.1 is 8.0.0.1 to some readers and 10.0.0.1
// to others; here it is a mistake with both readings in the fix.

export type Family = 4 | 6;

/** An address is a prefix of full length. Words are host order, most significant first: one for IPv4, four for IPv6. */
export interface Prefix {
  readonly kind: 'prefix';
  readonly family: Family;
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly bits: number;
  /** The text has bits set to the right of its prefix length. */
  readonly hasHostBits: boolean;
  /** Canonical text without host bits: `10.0.0.0/8`; an address alone has no length. */
  readonly text: string;
}

/** Why a text is not an address: "it ..." and an instruction. */
export interface BadAddress {
  readonly kind: 'bad';
  readonly reason: string;
  readonly fix: string;
}

const EXAMPLE =
  'write an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24 or 2001:db8::/32';

function bad(reason: string, fix: string = EXAMPLE): BadAddress {
  return { kind: 'bad', reason, fix };
}

/** Reads one address; a prefix length is a mistake. */
export function parseAddress(text: string): Prefix | BadAddress {
  const slash = text.indexOf('/');
  if (slash >= 0)
    return bad(
      'has a prefix length where one address is expected',
      `write ${text.slice(0, slash)}`,
    );
  return parsePrefix(text);
}

/**
 * Reads an address or a prefix. Host bits are not refused here but told
 * (`hasHostBits`), and `first`, `last` and `text` are the corrected prefix.
 */
export function parsePrefix(text: string): Prefix | BadAddress {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  if (/^[0-9]+(\.[0-9]+){3}:[0-9]*$/.test(address))
    return bad('has a port', 'write the port in ports, such as ports: [443/tcp]');
  const words = address.includes(':') ? parseV6(address) : parseV4(address);
  if ('kind' in words) return words;
  const family = words.length === 1 ? 4 : 6;
  const width = family === 4 ? 32 : 128;
  const bits = slash < 0 ? width : parseLength(text, slash, width);
  if (typeof bits !== 'number') return bits;
  if (family === 6 && bits >= 96 && isMapped(words)) return mapped(words, bits, slash >= 0);
  return prefixOf(family, words, bits, slash >= 0);
}

function mapped(words: readonly number[], bits: number, hasLength: boolean): BadAddress {
  const v4 = prefixOf(4, [words[3] ?? 0], bits - 96, hasLength);
  return bad('is an IPv4-mapped address: such packets are IPv4 packets', `write ${v4.text}`);
}

function isMapped(words: readonly number[]): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

/** The prefix of `bits` bits around an address. */
export function prefixOf(
  family: Family,
  words: readonly number[],
  bits: number,
  hasLength = true,
): Prefix {
  const first: number[] = [];
  const last: number[] = [];
  let hasHostBits = false;
  for (const [i, word] of words.entries()) {
    const mask = maskOf(bits - 32 * i);
    first.push((word & mask) >>> 0);
    last.push((word | ~mask) >>> 0);
    if ((word & ~mask) !== 0) hasHostBits = true;
  }
  const text = formatAddress(family, first) + (hasLength ? `/${bits}` : '');
  return { kind: 'prefix', family, first, last, bits, hasHostBits, text };
}

/** The 32-bit mask of a prefix length; lengths outside 0 to 32 are cut. */
export function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

function parseLength(text: string, slash: number, width: number): number | BadAddress {
  const length = text.slice(slash + 1);
  const address = text.slice(0, slash);
  if (/^(0|[1-9][0-9]{0,2})$/.test(length) && Number(length) <= width) return Number(length);
  const family = width === 32 ? 'IPv4' : 'IPv6';
  const range = `write a length from 0 to ${width}, such as ${address}/${width === 32 ? 24 : 64}`;
  const mask = width === 32 ? parseV4(length) : bad('');
  if (!('kind' in mask)) {
    const bits = 32 - Math.log2(2 ** 32 - mask[0]);
    return bad(
      'has a netmask for a prefix length',
      Number.isInteger(bits) ? `write ${address}/${bits}` : range,
    );
  }
  if (/^0[0-9]+$/.test(length))
    return bad('has a prefix length with a leading zero', `write ${address}/${Number(length)}`);
  if (/^[0-9]+$/.test(length))
    return bad(`has a prefix length above ${width}, the length of ${family}`, range);
  return bad('has no number for a prefix length', range);
}

function parseV4(text: string): [number] | BadAddress {
  const parts = text.split('.');
  let value = 0;
  for (const part of parts) {
    if (!isDecimal(part) || Number(part) > 255) return explainV4(text, parts);
    value = value * 256 + Number(part);
  }
  return parts.length === 4 ? [value] : explainV4(text, parts);
}

function isDecimal(part: string): boolean {
  if (part.length === 0 || part.length > 3 || (part.length > 1 && part[0] === '0')) return false;
  for (let i = 0; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    if (unit < 48 || unit > 57) return false;
  }
  return true;
}

function explainV4(text: string, parts: readonly string[]): BadAddress {
  if (text === '') return bad('is empty');
  if (/^[0-9./\s]+$/.test(text) && /\s/.test(text))
    return bad('has white space in it', 'write one address or prefix an item');
  if (/^[0-9.]+-[0-9.]+$/.test(text))
    return bad('is a range', 'write it as prefixes, such as 192.0.2.0/25');
  if (/(^|\.)0x[0-9a-f]*(\.|$)/i.test(text))
    return bad('has hexadecimal numbers', 'write decimal numbers, such as 192.0.2.1');
  if (/^[0-9_.]+$/.test(text) && text.includes('_'))
    return bad('has an underscore', `write ${text.replaceAll('_', '')}`);
  if (!/^[0-9.]+$/.test(text))
    return bad('is not an address', `names are not looked up; ${EXAMPLE}`);
  if (parts.includes('')) return bad('has a dot too many');
  if (parts.length !== 4) return shortV4(parts);
  const octal = parts.some((part) => part.length > 1 && part.startsWith('0'));
  if (octal) return leadingZero(parts);
  return bad('has a number above 255', 'write four numbers from 0 to 255, such as 192.0.2.1');
}

function shortV4(parts: readonly string[]): BadAddress {
  const reason = `has ${parts.length} ${parts.length === 1 ? 'number' : 'numbers'} where an IPv4 address has four`;
  if (parts.length > 4 || parts.length === 1) return bad(reason);
  const zeros = [...parts, '0', '0', '0'].slice(0, 4).join('.');
  return bad(reason, `write all four, such as ${zeros} or ${zeros}/${8 * parts.length}`);
}

function leadingZero(parts: readonly string[]): BadAddress {
  const decimal = parts.map((part) => String(Number(part))).join('.');
  return bad(
    'has a leading zero, which some programs read as octal',
    `write ${decimal} without it`,
  );
}

function parseV6(text: string): [number, number, number, number] | BadAddress {
  if (text.includes('%'))
    return bad(
      'has a zone',
      `write ${text.slice(0, text.indexOf('%'))}: a policy holds for every interface`,
    );
  const gap = text.indexOf('::');
  if (gap >= 0 && text.indexOf('::', gap + 1) >= 0) return bad('has more than one ::');
  const head = groupsOf(gap < 0 ? text : text.slice(0, gap), gap < 0);
  const tail = gap < 0 ? [] : groupsOf(text.slice(gap + 2), true);
  if (!Array.isArray(head)) return head;
  if (!Array.isArray(tail)) return tail;
  const missing = 8 - head.length - tail.length;
  if (gap < 0 ? missing !== 0 : missing < 1) {
    return bad(`has ${head.length + tail.length} groups where an IPv6 address has eight`);
  }
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number): number =>
    ((groups[2 * i] ?? 0) * 65536 + (groups[2 * i + 1] ?? 0)) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

function groupsOf(text: string, mayEndInV4: boolean): number[] | BadAddress {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else if (mayEndInV4 && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if ('kind' in v4) return v4;
      groups.push(v4[0] >>> 16, v4[0] & 0xffff);
    } else {
      return explainGroup(text, part);
    }
  }
  return groups;
}

function explainGroup(text: string, part: string): BadAddress {
  if (part === '') return bad('has a colon too many');
  if (/^[0-9a-f]{5,}$/i.test(part))
    return bad(`has a group of more than four digits: ${part.slice(0, 20)}`);
  if (/\s/.test(text)) return bad('has white space in it', 'write one address or prefix an item');
  return bad('is not an address');
}

/** Text of an address: dotted decimal, or RFC 5952 (lower case, the longest run of zeros as ::). */
export function formatAddress(family: Family, words: ArrayLike<number>): string {
  const first = words[0] ?? 0;
  if (family === 4)
    return `${first >>> 24}.${(first >>> 16) & 255}.${(first >>> 8) & 255}.${first & 255}`;
  if (first === 0 && words[1] === 0 && words[2] === 0xffff)
    return `::ffff:${formatAddress(4, [words[3] ?? 0])}`;
  const groups: number[] = [];
  for (let i = 0; i < 4; i++) groups.push((words[i] ?? 0) >>> 16, (words[i] ?? 0) & 0xffff);
  const gap = longestZeros(groups);
  const text = groups.map((group) => group.toString(16));
  if (gap.length < 2) return text.join(':');
  return `${text.slice(0, gap.start).join(':')}::${text.slice(gap.start + gap.length).join(':')}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > best.length) best = { start: i, length: end - i };
  }
  return best;
}
