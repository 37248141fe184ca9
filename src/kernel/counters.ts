// Packets, bytes, suppressed and lost events, summed over CPUs.

import { fault } from '../abi/layout.gen.js';
import type { LoadedSet } from './set.js';

export interface Count {
  readonly packets: number;
  readonly bytes: number;
}

/** Counts by counter id, for all ids up to the highest asked for. */
export function readCounters(set: LoadedSet, ids: readonly number[]): Map<number, Count> {
  const length = Math.max(-1, ...ids) + 1;
  if (length === 0) return new Map();
  const words = set.maps.counters.sumPerCpu(0, length);
  return new Map(
    ids.map((id) => [
      id,
      { packets: Number(words[2 * id] ?? 0n), bytes: Number(words[2 * id + 1] ?? 0n) },
    ]),
  );
}

/** Everything that was given up or went wrong since the first load. */
export interface Faults {
  readonly emitted: number;
  readonly suppressed: number;
  readonly lost: number;
  readonly unparsable: number;
  /** Flow state that could not be kept: replies may be judged as strangers. */
  readonly flow: number;
  readonly peer: number;
  /** Not a fault: frames that no rule of an interface is about. */
  readonly notIp: number;
  /** Must be 0: an index that led outside the tables. */
  readonly table: number;
}

export function readFaults(set: LoadedSet): Faults {
  const words = set.maps.faults.sumPerCpu(0, fault.FAULT_MAX);
  const at = (index: number): number => Number(words[index] ?? 0n);
  return {
    emitted: at(fault.FAULT_EMITTED),
    suppressed: at(fault.FAULT_SUPPRESSED),
    lost: at(fault.FAULT_LOST),
    unparsable: at(fault.FAULT_UNPARSABLE),
    flow: at(fault.FAULT_FLOW),
    peer: at(fault.FAULT_PEER),
    notIp: at(fault.FAULT_NOT_IP),
    table: at(fault.FAULT_TABLE),
  };
}
