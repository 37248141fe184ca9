// The agent's end of the event ring: to the log, and to whoever follows.

import { eventRingId, streamEvents } from '../kernel/events.js';
import type { EventStream } from '../kernel/events.js';
import { lockEvents } from '../kernel/lock.js';
import type { FileLock } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import type { Logger } from '../report/log.js';
import { renderEvent } from '../report/verdict.js';
import { EventNaming } from './naming.js';
import { Once } from './once.js';
import { EventPublisher } from './publish.js';
import type { InForce } from './steward.js';

export class EventReader {
  readonly #place: Place;
  readonly #log: Logger;
  #naming: EventNaming;
  readonly #publisher: EventPublisher;
  readonly #once = new Once();
  #lock: FileLock | null = null;
  #stream: EventStream | null = null;

  private constructor(place: Place, log: Logger, publisher: EventPublisher) {
    this.#place = place;
    this.#log = log;
    this.#publisher = publisher;
    this.#naming = new EventNaming(place);
  }

  static async open(place: Place, log: Logger): Promise<EventReader> {
    return new EventReader(place, log, await EventPublisher.open(place));
  }

  /** After each reconcile: reads the ring that is loaded now, with the names in force now. */
  follow({ isLoaded, generation }: Pick<InForce, 'isLoaded' | 'generation'>): void {
    if (!isLoaded) {
      this.#endStream();
      return;
    }
    // Everything was taken down and loaded anew: the old ring gets no events any more.
    if (this.#stream !== null && this.#stream.ringId !== eventRingId(this.#place))
      this.#endStream();
    this.#naming.refresh(generation);
    if (this.#stream !== null) return;
    this.#lock ??= lockEvents(this.#place);
    if (this.#lock !== null) {
      this.#once.settle('lock');
      this.#stream = this.#openStream();
    } else if (this.#once.isNews('lock', 'held')) {
      this.#log.warn(
        { fix: 'end the other cgfw events' },
        'another process reads the events; they are not logged here until it ends',
      );
    }
  }

  #openStream(): EventStream {
    return streamEvents(this.#place, (raw) => {
      const events = raw.map((event) => this.#naming.describe(event));
      for (const event of events) this.#log.info({ event }, renderEvent(event));
      this.#publisher.publish(events);
    });
  }

  #endStream(): void {
    this.#stream?.drain();
    this.#stream?.close();
    this.#stream = null;
    // Generations are counted from 1 again: the names of the old ones are not theirs.
    this.#naming = new EventNaming(this.#place);
  }

  async close(): Promise<void> {
    this.#endStream();
    this.#lock?.close();
    await this.#publisher.close();
  }
}
