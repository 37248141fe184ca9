// Offers the event stream to `cgfw events` while an agent reads the ring.

import { existsSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { Place } from '../kernel/place.js';
import type { VerdictEvent } from '../report/verdict.js';

/** A reader that is this far behind loses events, and is told how many. */
const MAX_BEHIND_BYTES = 4 << 20;

/** A line of the stream: an event, or how many this reader has missed. */
export type Published = VerdictEvent | { readonly lost: number };

export function eventSocket(place: Place): string {
  return join(place.runDir, 'events.sock');
}

/** NDJSON of every event to every connected reader; a slow one never holds up the agent. */
export class EventPublisher {
  readonly #server: Server;
  readonly #readers = new Map<Socket, { lost: number }>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#welcome(socket));
  }

  static async open(place: Place): Promise<EventPublisher> {
    const path = eventSocket(place);
    if (existsSync(path)) unlinkSync(path);
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path, readableAll: false, writableAll: false }, resolve);
    });
    return new EventPublisher(server);
  }

  get hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  publish(events: readonly VerdictEvent[]): void {
    if (!this.hasReaders) return;
    const text = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    for (const [socket, state] of this.#readers) {
      if (socket.writableLength > MAX_BEHIND_BYTES) state.lost += events.length;
      else {
        if (state.lost > 0) socket.write(`${JSON.stringify({ lost: state.lost })}\n`);
        state.lost = 0;
        socket.write(text);
      }
    }
  }

  #welcome(socket: Socket): void {
    this.#readers.set(socket, { lost: 0 });
    const leave = (): void => void this.#readers.delete(socket);
    socket.on('error', leave);
    socket.on('close', leave);
    socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#readers.keys()) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
