// systemd's design: LPM tries in cgroup_skb programs of our own making.

import { join } from 'node:path';
import { prefixes6 } from '../generate.js';
import { listOf, SEED } from '../lib/data.js';
import type { BpfLink, BpfObject } from '../../src/kernel/native.js';
import { attachCgroup, openObject } from '../../src/kernel/native.js';
import { BUILT } from '../lib/run.js';

const BATCH = 10_000;

/** Writes the list of this size into the trie of a family. */
export function fillTries(tries: BpfObject, size: number, family: 4 | 6): void {
  const entries = family === 4 ? keys4(size) : keys6(size);
  const map = tries.map(`deny${String(family)}`);
  const width = map.info.keySize;
  for (let at = 0; at < entries.length; at += BATCH * width) {
    const keys = entries.subarray(at, at + BATCH * width);
    const length = keys.length / width;
    map.updateBatch(keys, new Uint8Array(length * 8), length);
  }
}

function keys4(size: number): Uint8Array {
  const { first, length } = listOf(size);
  const view = new DataView(new ArrayBuffer(size * 8));
  first.forEach((address, i) => {
    view.setUint32(i * 8, length[i] ?? 32, true);
    view.setUint32(i * 8 + 4, address);
  });
  return new Uint8Array(view.buffer);
}

function keys6(size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(size * 20));
  prefixes6(SEED, size).forEach(({ words, length }, i) => {
    view.setUint32(i * 20, length, true);
    words.forEach((word, w) => view.setUint32(i * 20 + 4 + 4 * w, word));
  });
  return new Uint8Array(view.buffer);
}

/** Attaches egress and ingress of a bench object to a cgroup; closing the links ends them. */
export async function attachPair(
  name: 'tries' | 'empty',
  directory: string,
  fill: (object: BpfObject) => void,
): Promise<BpfLink[]> {
  const object = openObject(join(BUILT, `${name}.bpf.o`));
  await object.load();
  fill(object);
  const links = (['egress', 'ingress'] as const).map((hook) =>
    attachCgroup(object.program(hook), directory, hook),
  );
  object.close();
  return links;
}
