// Verdict events out of the kernel's ring.

import { join } from 'node:path';
import { decodeEvent, EVENT_SIZE } from '../abi/event.js';
import type { RawEvent } from '../abi/event.js';
import { control as controlAt } from '../abi/layout.gen.js';
import { openPinnedMap, openRing } from './native.js';
import type { Place } from './place.js';

const BUSY_MS = 5;
/** After so many looks in vain the reader lies down; waking it costs a sender 4 to 13 us. */
const IDLE_LOOKS = 20;
/** Programs that an earlier version of cgfw loaded wake nobody who lies down. */
const ANYWAY_MS = 2000;

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
 * Calls `onEvents` with each batch. A wake-up costs the sender of a packet more
 * than all else, so that the ring is read on a timer, every 5 ms while events
 * come. When it is quiet, a word in `control` asks to be woken, and the next
 * sender does so (bpf/event.h). One reader at a time (lock.ts).
 */
export function streamEvents(place: Place, onEvents: (events: RawEvent[]) => void): EventStream {
  const map = openPinnedMap(join(place.pinRoot, 'shared', 'events'));
  const control = openPinnedMap(join(place.pinRoot, 'shared', 'control'));
  let timer: NodeJS.Timeout | undefined;
  let idle = 0;
  const schedule = (delayMs: number): void => {
    clearTimeout(timer);
    timer = setTimeout(look, delayMs);
  };
  const ring = openRing(map, (records) => {
    if (idle >= IDLE_LOOKS) {
      idle = 0;
      schedule(BUSY_MS);
    }
    if (records.length > 0) onEvents(decodeAll(records));
  });
  const look = (): void => {
    const isAsleep = idle >= IDLE_LOOKS;
    // A cleared word without a record: we have just read away what was to wake us.
    const found = ring.consume() > 0 || (isAsleep && control.loadWord(controlAt.asleep) === 0n);
    idle = found ? 0 : idle + 1;
    if (idle !== IDLE_LOOKS) {
      schedule(idle < IDLE_LOOKS ? BUSY_MS : ANYWAY_MS);
      return;
    }
    control.storeWord(controlAt.asleep, 1n);
    // What was submitted before the word was seen has woken nobody.
    look();
  };
  schedule(BUSY_MS);
  return {
    ringId: map.info.id,
    drain: () => {
      while (ring.consume() > 0);
    },
    close: () => {
      clearTimeout(timer);
      // Nobody is there to be woken.
      control.storeWord(controlAt.asleep, 0n);
      ring.close();
      map.close();
      control.close();
    },
  };
}

function decodeAll(records: Uint8Array): RawEvent[] {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const events: RawEvent[] = [];
  for (let offset = 0; offset + EVENT_SIZE <= records.byteLength; offset += EVENT_SIZE) {
    events.push(decodeEvent(view, offset));
  }
  return events;
}
