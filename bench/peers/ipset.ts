// iptables with an ipset, in a network namespace of the trial's own.

import { writeFileSync } from 'node:fs';
import { linesOf4 } from '../generate.js';
import { listOf } from '../lib/data.js';
import { must } from '../lib/run.js';
import type { Finished } from '../lib/run.js';
import type { Filtered } from './nft.js';

/** What `ipset restore` reads: a set of networks with all its entries. */
export function restoreText(set: string, size: number, version = 1): string {
  const lines = linesOf4(listOf(size, version)).map((line) => `add ${set} ${line}`);
  return `create ${set} hash:net family inet hashsize ${String(size)} maxelem ${String(size * 2)}\n${lines.join('\n')}\n`;
}

export function restore(netns: string, file: string, text: string): Promise<Finished> {
  writeFileSync(file, text);
  return must(['ipset', 'restore', '-f', file], { netns });
}

/** Drops what is in the set, in both directions, for one cgroup. */
export async function filterBySet({ netns, cgroup }: Filtered, set: string): Promise<void> {
  const match = (chain: string, side: string): string[] => [
    ...['iptables', '-A', chain, '-m', 'cgroup', '--path', cgroup],
    ...['-m', 'set', '--match-set', set, side, '-j', 'DROP'],
  ];
  await must(match('OUTPUT', 'dst'), { netns });
  await must(match('INPUT', 'src'), { netns });
}
