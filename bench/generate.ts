// Lists and rules: the same for the same seed, and for every tool alike.

/** A generator of whole numbers below a bound (xorshift32, mixed). */
export type Random = (below: number) => number;

export function randomFrom(seed: number): Random {
  let state = (seed * 0x9e3779b1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((Math.imul(state, 0x85ebca6b) >>> 0) / 2 ** 32) * below);
  };
}

/** IPv4 prefixes in order and without overlap: first addresses and lengths. */
export interface Prefixes4 {
  readonly first: Uint32Array;
  readonly length: Uint8Array;
}

/** Shares of prefix lengths as blocklists and routing tables have them; the rest is /32. */
const LENGTHS4: readonly (readonly [length: number, share: number])[] = [
  [14, 0.0002],
  [16, 0.002],
  [18, 0.005],
  [20, 0.02],
  [21, 0.03],
  [22, 0.08],
  [23, 0.08],
  [24, 0.4],
  [27, 0.02],
  [29, 0.03],
];

const CROWDED_BLOCKS = 2000;

function length4(next: Random): number {
  let share = next(1_000_000) / 1_000_000;
  for (const [length, part] of LENGTHS4) {
    if (share < part) return length;
    share -= part;
  }
  return 32;
}

/** Addresses that no list of ours holds: special, private, and what tests talk to. */
function isSpecial(address: number): boolean {
  const top = address >>> 24;
  if (top === 0 || top === 10 || top === 127 || top >= 224 || top === 100 || top === 169)
    return true;
  return top === 192 || top === 172 || top === 198 || top === 203;
}

/** A third of the prefixes lies in a few crowded /16, the rest anywhere. */
export function prefixes4(seed: number, wanted: number): Prefixes4 {
  const next = randomFrom(seed);
  const crowded = Array.from({ length: CROWDED_BLOCKS }, () => next(65536) * 65536);
  let found: bigint[] = [];
  while (found.length < wanted) {
    const more = new BigUint64Array(found.length + Math.ceil((wanted - found.length) * 1.3) + 16);
    more.set(found);
    for (let i = found.length; i < more.length; i++) {
      const length = length4(next);
      const block =
        length > 20 && next(3) === 0
          ? (crowded[next(CROWDED_BLOCKS)] ?? 0) + next(65536)
          : next(2 ** 32);
      const first = (length === 32 ? block : (block >>> (32 - length)) << (32 - length)) >>> 0;
      more[i] = isSpecial(first) ? 0n : (BigInt(first) << 8n) | BigInt(length);
    }
    more.sort();
    found = withoutOverlap(more);
  }
  const kept = thin(found, wanted);
  const first = new Uint32Array(wanted);
  const length = new Uint8Array(wanted);
  kept.forEach((entry, i) => {
    first[i] = Number(entry >> 8n);
    length[i] = Number(entry & 0xffn);
  });
  return { first, length };
}

function withoutOverlap(sorted: BigUint64Array): bigint[] {
  const kept: bigint[] = [];
  let end = -1;
  for (const entry of sorted) {
    const first = Number(entry >> 8n);
    if (first === 0 || first <= end) continue;
    kept.push(entry);
    end = first + 2 ** (32 - Number(entry & 0xffn)) - 1;
  }
  return kept;
}

/** As many as wanted, evenly taken. */
function thin(found: readonly bigint[], wanted: number): bigint[] {
  return Array.from(
    { length: wanted },
    (_, i) => found[Math.floor((i * found.length) / wanted)] ?? 0n,
  );
}

export function textOf4(address: number): string {
  return `${String(address >>> 24)}.${String((address >>> 16) & 255)}.${String((address >>> 8) & 255)}.${String(address & 255)}`;
}

export function linesOf4({ first, length }: Prefixes4): string[] {
  return Array.from(first, (address, i) => {
    const bits = length[i] ?? 32;
    return bits === 32 ? textOf4(address) : `${textOf4(address)}/${String(bits)}`;
  });
}

/** Random addresses beside the prefixes of a list, in none of them: what a packet may pass to. */
export function outside4(seed: number, { first, length }: Prefixes4, wanted: number): Uint32Array {
  const next = randomFrom(seed);
  const found = new Uint32Array(wanted);
  for (let i = 0; i < wanted;) {
    const at = next(first.length);
    const from = (first[at] ?? 0) + 2 ** (32 - (length[at] ?? 32));
    const to = at + 1 < first.length ? (first[at + 1] ?? 0) : from + 65536;
    if (to <= from) continue;
    const address = from + next(Math.min(to - from, 2 ** 20));
    if (!isSpecial(address)) found[i++] = address;
  }
  return found;
}

/** Random addresses in the prefixes of a list. */
export function inside4(seed: number, { first, length }: Prefixes4, wanted: number): Uint32Array {
  const next = randomFrom(seed);
  return Uint32Array.from({ length: wanted }, () => {
    const at = next(first.length);
    return (first[at] ?? 0) + next(2 ** (32 - (length[at] ?? 32)));
  });
}

/** IPv6 prefixes as groups of four words and a length; they may overlap. */
export interface Prefix6 {
  readonly words: readonly [number, number, number, number];
  readonly length: number;
}

const SITES6 = 4000;

/** Prefixes from /32 to /128 below some thousand /32 of 2000::/3, as allocations are. */
export function prefixes6(seed: number, wanted: number): Prefix6[] {
  const next = randomFrom(seed);
  const sites = sites6(seed);
  const lengths = [48, 48, 48, 48, 56, 56, 64, 64, 64, 128];
  const found = new Map<string, Prefix6>();
  while (found.size < wanted) {
    const site = sites[next(SITES6)] ?? 0;
    const length = lengths[next(lengths.length)] ?? 48;
    const second =
      length >= 64 ? next(2 ** 32) : (next(2 ** 32) >>> (64 - length)) << (64 - length);
    const words = [
      site,
      second >>> 0,
      length === 128 ? next(2 ** 32) : 0,
      length === 128 ? next(2 ** 32) : 0,
    ] as const;
    found.set(`${words.join(':')}/${String(length)}`, { words, length });
  }
  return [...found.values()];
}

function sites6(seed: number): number[] {
  const next = randomFrom(seed + 1);
  return Array.from({ length: SITES6 }, () => (0x20000000 + next(0x1fffffff)) >>> 0);
}

export function textOf6({ words, length }: Prefix6): string {
  const groups = words.flatMap((word) => [
    (word >>> 16).toString(16),
    (word & 0xffff).toString(16),
  ]);
  const head = length <= 64 ? `${groups.slice(0, 4).join(':')}::` : groups.join(':');
  return length === 128 ? head : `${head}/${String(length)}`;
}

/** Random addresses at the sites of a list: four words each, hardly ever members. */
export function beside6(seed: number, wanted: number): Uint32Array {
  const next = randomFrom(seed + 2);
  const sites = sites6(seed);
  const words = new Uint32Array(wanted * 4);
  for (let i = 0; i < wanted; i++) {
    words.set([sites[next(SITES6)] ?? 0, next(2 ** 32), next(2 ** 32), next(2 ** 32)], i * 4);
  }
  return words;
}

/** Random addresses in the prefixes of a list, four words each. */
export function inside6(seed: number, prefixes: readonly Prefix6[], wanted: number): Uint32Array {
  const next = randomFrom(seed + 3);
  const found = new Uint32Array(wanted * 4);
  for (let i = 0; i < wanted; i++) {
    const { words, length } = prefixes[next(prefixes.length)] ?? { words: [], length: 128 };
    words.forEach((word, w) => {
      const hosts = Math.max(0, Math.min(32, 32 * (w + 1) - length));
      found[i * 4 + w] = hosts === 0 ? word : word + next(2 ** hosts);
    });
  }
  return found;
}

/** Four words of any IPv6 address as text. */
export function addressText6(words: ArrayLike<number>): string {
  const groups = Array.from(words, (word) => [word >>> 16, word & 0xffff]).flat();
  return groups.map((group) => group.toString(16)).join(':');
}

export type Ports = readonly [first: number, last: number];

/** A rule as packet filters have it; the first that matches decides. */
export interface GeneratedRule {
  readonly action: 'allow' | 'drop';
  /** null = any address. */
  readonly prefix: string | null;
  readonly protocol: 'tcp' | 'udp';
  readonly ports: Ports;
}

/** No rule is about these ports at addresses outside of RULES_NET: traffic of the bench passes them all. */
export const FREE_PORT = 40009;
/** All prefixes of rules lie in here. */
export const RULES_NET = '32.0.0.0/6';
const RULES_FIRST = 0x20000000;
const RULES_SPAN = 0x04000000;
/** Thousands of rules hold this address and port. */
export const CROWDED = { address: RULES_FIRST + 0x01020304, port: 443 };

/**
 * Rules in the manner of ClassBench: few different services, nested prefixes of
 * mixed length, some rules for any address. A third is about prefixes around one
 * address and ranges around one port, so that thousands overlap on one packet.
 * The more particular rule comes first, as people write them: none is shadowed.
 */
export function rules(seed: number, wanted: number): GeneratedRule[] {
  const next = randomFrom(seed);
  const around = Array.from({ length: 400 }, (): Ports => [
    CROWDED.port - next(CROWDED.port),
    CROWDED.port + next(20_000),
  ]);
  const others = Array.from({ length: 100 }, (_, i): Ports => {
    const first = next(20_000);
    return [first, i % 2 === 0 ? first : first + next(10_000)];
  });
  const found = new Map<string, GeneratedRule & { readonly length: number }>();
  while (found.size < wanted) {
    const isCrowded = next(3) === 0;
    const isAny = !isCrowded && next(100) === 0;
    const length = isAny
      ? 0
      : isCrowded
        ? 8 + next(25)
        : ([12, 16, 16, 20, 24, 24, 24, 28, 32][next(9)] ?? 24);
    const base = isCrowded ? CROWDED.address : RULES_FIRST + next(RULES_SPAN);
    const first = length === 32 ? base : (base >>> (32 - length)) << (32 - length);
    const prefix = isAny ? null : `${textOf4(first >>> 0)}/${String(length)}`;
    const protocol = next(4) === 0 ? 'udp' : 'tcp';
    const services = isCrowded ? around : others;
    const ports = services[next(services.length)] ?? ([80, 80] as const);
    const action = next(2) === 0 ? 'allow' : 'drop';
    found.set(`${String(prefix)} ${protocol} ${ports.join('-')}`, {
      action,
      prefix,
      protocol,
      ports,
      length,
    });
  }
  const width = ([from, to]: Ports): number => to - from;
  return [...found.values()]
    .sort((a, b) => b.length - a.length || width(a.ports) - width(b.ports))
    .map(({ action, prefix, protocol, ports }) => ({ action, prefix, protocol, ports }));
}
