// Verdict events out of the kernel's ring.

import { join } from 'node:path';
import { decodeEvent, EVENT_SIZE } from '../abi/event.js';
import type { RawEvent } from '../abi/event.js';
import { openPinnedMap, openRing } from './native.js';
import type { Place } from './place.js';

const BUSY_MS = 5;
/** Where nothing happens, the looks get rarer: 20 a second would cost 0.3 % of a CPU. */
const QUIETEST_MS = 250;

export interface EventStream {
  /** Kernel id of the ring. */
  readonly ringId: number;
  /** Reads what is waiting now. */
  drain(): void;
  close(): void;
}

/** Kernel id of the ring that is loaded now. */
export function eventRingId(place: Place): number {
  const map = openPinnedMap(join(place.pinRoot, 'shared', 'events'));
  try {
    return map.info.id;
  } finally {
    map.close();
  }
}

/**
 * Calls `onEvents` with each batch. The programs submit without waking anybody,
 * so the ring is read on a timer: every 5 ms while events come, ever rarer when
 * it is quiet; a half-full ring wakes us at once. One reader at a time (lock.ts).
 */
export function streamEvents(place: Place, onEvents: (events: RawEvent[]) => void): EventStream {
  const map = openPinnedMap(join(place.pinRoot, 'shared', 'events'));
  const ring = openRing(map, (records) => {
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    const events: RawEvent[] = [];
    for (let offset = 0; offset + EVENT_SIZE <= records.byteLength; offset += EVENT_SIZE) {
      events.push(decodeEvent(view, offset));
    }
    onEvents(events);
  });
  let timer: NodeJS.Timeout;
  let waitMs = BUSY_MS;
  const read = (): void => {
    const count = ring.consume();
    waitMs = count > 0 ? BUSY_MS : Math.min(2 * waitMs, QUIETEST_MS);
    timer = setTimeout(read, waitMs);
  };
  timer = setTimeout(read, BUSY_MS);
  return {
    ringId: map.info.id,
    drain: () => {
      while (ring.consume() > 0);
    },
    close: () => {
      clearTimeout(timer);
      ring.close();
      map.close();
    },
  };
}
