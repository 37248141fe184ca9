// Programs loaded for test runs, with the tables of a compiled policy.

import { join } from 'node:path';
import { capacity as capacityAt } from '../../src/abi/layout.gen.js';
import { encodeBlob } from '../../src/compile/blob.js';
import { chooseCapacity, neededCapacity } from '../../src/compile/capacity.js';
import { compile } from '../../src/compile/compile.js';
import type { Program } from '../../src/compile/program.js';
import { COUNTER_MAPS, TABLE_MAPS } from '../../src/kernel/maps.js';
import { openObject } from '../../src/kernel/native.js';
import { PACKAGE_ROOT } from '../../src/kernel/place.js';
import type { BpfObject, BpfProgram } from '../../src/kernel/native.js';
import { writeSlot } from '../../src/kernel/slot.js';
import type { TableMaps } from '../../src/kernel/slot.js';
import { PolicyFile } from '../../src/source/policy-file.js';
import { TEXT_HEADER } from '../../src/compile/tables.js';
import { BUILT } from './run.js';

/** Reads and compiles a policy file by the way of the product. */
export function compileFile(file: string): Program {
  const { policy, diagnostics } = new PolicyFile(file, 0).read();
  if (policy === undefined) throw new Error(diagnostics.map(({ message }) => message).join('\n'));
  return compile(policy, new Map());
}

/** The programs of interfaces as they are shipped. */
export const SHIPPED_XDP = join(PACKAGE_ROOT, 'build/bpf/xdp_frags.bpf.o');

/** The path of an object of bench/bpf. */
export const built = (name: string): string => join(BUILT, `${name}.bpf.o`);

/** Loads an object that includes programs of ours (a name: of bench/bpf), policy 1 in force. */
export async function loadWith(nameOrPath: string, program: Program): Promise<BpfObject> {
  const object = openObject(nameOrPath.startsWith('/') ? nameOrPath : built(nameOrPath));
  const needed = neededCapacity(program, TEXT_HEADER + encodeBlob(program).length);
  const capacity = chooseCapacity(needed, null);
  const rodata = new DataView(new ArrayBuffer(capacityAt.size));
  for (const table of TABLE_MAPS) {
    rodata.setUint32(capacityAt[table], capacity[table], true);
    object.setMaxEntries(table, 2 * capacity[table]);
  }
  for (const counters of COUNTER_MAPS) object.setMaxEntries(counters, capacity.counters);
  object.setRodata(new Uint8Array(rodata.buffer));
  await object.load();
  const maps = Object.fromEntries(TABLE_MAPS.map((table) => [table, object.map(table)]));
  writeSlot(maps as unknown as TableMaps, capacity, 1, program);
  object.map('control').storeWord(0, 1n);
  return object;
}

/** Loads an object of bench/bpf that stands alone. */
export async function loadPlain(name: string): Promise<BpfObject> {
  const object = openObject(built(name));
  await object.load();
  return object;
}

/** Fills the addresses that cold programs pick from; `words` in host order, repeated to the end. */
export function fillPicks(object: BpfObject, words: Uint32Array): void {
  const picks = object.map('picks');
  const all = new Uint32Array((picks.info.maxEntries * picks.info.valueSize) / 4);
  for (let at = 0; at < all.length; at += words.length)
    all.set(words.subarray(0, all.length - at), at);
  picks.write(0, new Uint8Array(all.buffer));
}

/** One run of many repeats: ns each. */
export interface Measured {
  readonly program: BpfProgram;
  readonly packet: Uint8Array;
}

export const REPEAT = 2000;

/**
 * Nanoseconds a run of each program: `batches` runs of so many repeats, taking
 * turns so that all meet the same machine; the tenth percentile, since whatever
 * else goes on can only add. `code` is what the program must answer.
 */
export function measure(measured: readonly Measured[], batches: number, repeat = REPEAT): number[] {
  const samples = measured.map((): number[] => []);
  for (let batch = -2; batch < batches; batch++) {
    measured.forEach(({ program, packet }, i) => {
      const { durationNs } = program.testRun({ data: packet, repeat });
      if (batch >= 0) samples[i]?.push(durationNs);
    });
  }
  return samples.map((runs) => runs.sort((a, b) => a - b)[Math.floor(runs.length / 10)] ?? NaN);
}
