// nftables with `socket cgroupv2`, in a network namespace of the trial's own.

import { rules as generateRules, linesOf4 } from '../generate.js';
import { dataFile, listOf, SEED } from '../lib/data.js';
import { must } from '../lib/run.js';
import type { Finished } from '../lib/run.js';

export interface Filtered {
  readonly netns: string;
  /** Path of the filtered cgroup, relative to the cgroup2 mount. */
  readonly cgroup: string;
  /** The mount point; nft takes paths from /sys/fs/cgroup on. */
  readonly cgroupRoot: string;
}

/** The match of packets of the cgroup's sockets, as it stands in rules. */
function cgroupMatch({ cgroup, cgroupRoot }: Filtered): string {
  const path = `${cgroupRoot}/${cgroup}`.replace('/sys/fs/cgroup/', '');
  return `socket cgroupv2 level ${String(cgroup.split('/').length)} "${path}"`;
}

function setOf(
  size: number,
  version: number,
  shape: 'interval' | 'hash',
  also: readonly string[],
): string {
  const flags = shape === 'interval' ? 'flags interval; ' : '';
  const listed = linesOf4(listOf(size, version)).map((line) =>
    shape === 'interval' ? line : (line.split('/')[0] ?? ''),
  );
  const lines = [...listed, ...also];
  return `set block { type ipv4_addr; ${flags}elements = { ${lines.join(',\n')} } }`;
}

/** A whole ruleset: drop what is in the list, in both directions; `established` passes replies first. */
export function setRules(
  where: Filtered,
  size: number,
  more: {
    readonly version?: number;
    readonly established?: boolean;
    readonly shape?: 'interval' | 'hash';
    /** Addresses in the set beside the list's. */
    readonly also?: readonly string[];
  } = {},
): string {
  const match = cgroupMatch(where);
  const established =
    more.established === true ? `${match} ct state established,related accept\n` : '';
  return `flush ruleset
table inet bench {
 ${setOf(size, more.version ?? 1, more.shape ?? 'interval', more.also ?? [])}
 chain output { type filter hook output priority 0; policy accept;
  ${established}${match} ip daddr @block drop
 }
 chain input { type filter hook input priority 0; policy accept;
  ${established}${match} ip saddr @block drop
 }
}
`;
}

/** Ordered rules one after the other, for egress; only packets of the cgroup meet them. */
export function linearRules(where: Filtered, size: number): string {
  const lines = generateRules(SEED, size).map(({ action, prefix, protocol, ports }) => {
    const to = prefix === null ? '' : `ip daddr ${prefix} `;
    return `${to}${protocol} dport ${ports.join('-')} ${action === 'allow' ? 'accept' : 'drop'}`;
  });
  return `table inet bench {
 chain own { ${lines.join('\n')}
 }
 chain output { type filter hook output priority 0; policy accept;
  ${cgroupMatch(where)} jump own
 }
}
`;
}

/** Loads a ruleset from a file, as a user does. */
export function load(netns: string, name: string, text: string): Promise<Finished> {
  return must(['nft', '-f', dataFileOnce(name, text)], { netns });
}

function dataFileOnce(name: string, text: string): string {
  return dataFile(`${name}-${String(process.pid)}.nft`, () => text);
}

export function nft(netns: string, ...argv: readonly string[]): Promise<Finished> {
  return must(['nft', ...argv], { netns });
}
