// xdp-filter of Debian's xdp-tools: exact addresses only, 10,000 of each family.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openPinnedMap, openPinnedProgram } from '../../src/kernel/native.js';
import type { BpfProgram } from '../../src/kernel/native.js';
import type { Ground } from '../lib/ground.js';
import { must } from '../lib/run.js';
import { addressText } from '../lib/sources.js';

/** The interface that it is loaded on. */
export const FILTERED = 'filter';

/** Its pins go where the trial's own are, and are removed with them. */
function xdpFilter(ground: Ground, netns: string, ...argv: readonly string[]): Promise<unknown> {
  const script = 'mount --bind "$0" /sys/fs/bpf && exec xdp-filter "$@"';
  return must(['unshare', '-m', 'sh', '-c', script, ground.place.pinRoot, ...argv], { netns });
}

/** Loads it on its interface in a namespace; frames from these addresses are dropped. */
export async function loadXdpFilter(
  ground: Ground,
  netns: string,
  addresses: readonly Uint32Array[],
): Promise<BpfProgram> {
  const [first = new Uint32Array(1)] = addresses;
  mkdirSync(ground.place.pinRoot, { recursive: true });
  await xdpFilter(ground, netns, 'load', '-f', 'ipv4,ipv6', FILTERED);
  // One by the tool itself, the others as it would write them: a command each takes long.
  await xdpFilter(ground, netns, 'ip', '-m', 'src', addressText(first));
  const family = first.length === 1 ? 4 : 6;
  const pins = join(ground.place.pinRoot, 'xdp-filter');
  const map = openPinnedMap(join(pins, `filter_ipv${String(family)}`));
  const value = map.lookup(keyOf(first));
  if (value === null) throw new Error('xdp-filter has not taken its first address');
  for (const address of addresses) map.update(keyOf(address), value);
  map.close();
  return openPinnedProgram(join(pins, 'programs', FILTERED, 'xdpfilt_alw_ip'));
}

function keyOf(words: Uint32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, i) => view.setUint32(i * 4, word));
  return new Uint8Array(view.buffer);
}
