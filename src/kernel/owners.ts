// Which policy owns a cgroup, in the cgroup's own storage (struct owner).

import { owner } from '../abi/layout.gen.js';
import type { BpfMap } from './native.js';

function keyOf(id: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([BigInt(id)]).buffer);
}

/** Index in the policies table of a slot, 0 = none; null when nothing was ever attached. */
export function readOwner(owners: BpfMap, id: number, slot: number): number | null {
  const value = owners.lookup(keyOf(id));
  if (value === null) return null;
  return new DataView(value.buffer, value.byteOffset).getUint32(owner.policy + 4 * slot, true);
}

/** The other slot keeps its value; packets see the old pair or the new one. */
export function writeOwner(owners: BpfMap, id: number, slot: number, index: number): void {
  const key = keyOf(id);
  const value = Uint8Array.from(owners.lookup(key) ?? new Uint8Array(owner.size));
  new DataView(value.buffer).setUint32(owner.policy + 4 * slot, index, true);
  owners.update(key, value);
}

/** The kernel keeps the storage of a detached cgroup: what a former policy wrote there must not decide. */
export function clearOwner(owners: BpfMap, id: number): void {
  const key = keyOf(id);
  if (owners.lookup(key) !== null) owners.update(key, new Uint8Array(owner.size));
}

/** Both slots of a cgroup, to a map that has nothing of it yet. */
export function copyOwner(owners: BpfMap, to: BpfMap, id: number): void {
  const owner = owners.lookup(keyOf(id));
  if (owner !== null) to.update(keyOf(id), Uint8Array.from(owner));
}

/** For a map in which a cgroup that nobody owns has no entry. */
export function eraseOwner(owners: BpfMap, id: number): void {
  owners.delete(keyOf(id));
}
