// Which policy owns an interface, in memory shared with the programs (struct interface_owner).

import { interface_owner as at } from '../abi/layout.gen.js';
import { CgfwError } from '../base/error.js';
import type { BpfMap } from './native.js';

/** INTERFACES and INTERFACE_PROBES of bpf/abi.h. */
const PLACES = 8192;
const PROBES = 8;

/** Byte offset of the entry of an interface, or null. */
function findEntry(interfaces: BpfMap, ifindex: number): number | null {
  for (let probe = 0; probe < PROBES; probe++) {
    const offset = ((ifindex + probe) % PLACES) * at.size;
    if (wordAt(interfaces, offset + at.ifindex) === ifindex) return offset;
  }
  return null;
}

function wordAt(interfaces: BpfMap, offset: number): number {
  const bytes = interfaces.read(offset, 4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** Two words that the programs must see at once. */
function storePair(interfaces: BpfMap, offset: number, first: number, second: number): void {
  interfaces.storeWord(offset, BigInt(first) | (BigInt(second) << 32n));
}

/** Index in the policies table of a slot, 0 = none. */
export function readInterfaceOwner(interfaces: BpfMap, ifindex: number, slot: number): number {
  const entry = findEntry(interfaces, ifindex);
  return entry === null ? 0 : wordAt(interfaces, entry + at.policy + 4 * slot);
}

/** The other slot keeps its value; frames see the old pair or the new one. */
export function writeInterfaceOwner(
  interfaces: BpfMap,
  ifindex: number,
  slot: number,
  index: number,
): void {
  const entry = findEntry(interfaces, ifindex);
  if (entry === null && index === 0) return;
  const offset = entry ?? freeEntry(interfaces, ifindex);
  const other = entry === null ? 0 : wordAt(interfaces, offset + at.policy + 4 * (1 - slot));
  storePair(interfaces, offset + at.policy, slot === 0 ? index : other, slot === 0 ? other : index);
  // Last: before it the entry belongs to nobody.
  if (entry === null) storePair(interfaces, offset + at.ifindex, ifindex, 0);
}

function freeEntry(interfaces: BpfMap, ifindex: number): number {
  for (let probe = 0; probe < PROBES; probe++) {
    const offset = ((ifindex + probe) % PLACES) * at.size;
    if (wordAt(interfaces, offset + at.ifindex) === 0) return offset;
  }
  throw new CgfwError('too many interfaces have a policy: there is no place for another one', {
    code: 'too-many-interfaces',
    fix: `name fewer interfaces: some ${String(PLACES)} have room`,
  });
}

/** errno with which native mode was refused, 0 = it was not, or nobody tried. */
export function readRefusal(interfaces: BpfMap, ifindex: number): number {
  const entry = findEntry(interfaces, ifindex);
  return entry === null ? 0 : wordAt(interfaces, entry + at.refusal);
}

/** Makes the entry where there is none; it then gives the interface no policy. */
export function writeRefusal(interfaces: BpfMap, ifindex: number, errno: number): void {
  const entry = findEntry(interfaces, ifindex) ?? freeEntry(interfaces, ifindex);
  storePair(interfaces, entry + at.ifindex, ifindex, errno);
}

/** For an interface without our program. */
export function eraseInterface(interfaces: BpfMap, ifindex: number): void {
  const entry = findEntry(interfaces, ifindex);
  if (entry === null) return;
  storePair(interfaces, entry + at.ifindex, 0, 0);
  storePair(interfaces, entry + at.policy, 0, 0);
}
