// Puts names to raw events: rule names of their generation, cgroup paths, interfaces.

import type { RawEvent } from '../abi/event.js';
import { CgfwError } from '../base/error.js';
import { decodeBlob } from '../compile/blob.js';
import type { Names } from '../compile/program.js';
import { listCgroups } from '../kernel/cgroups.js';
import { listInterfaces } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import { readBlob } from '../kernel/slot.js';
import { describeEvent } from '../report/verdict.js';
import type { VerdictEvent } from '../report/verdict.js';

/** Generations whose names are kept: events may come out late. */
const REMEMBERED = 4;

/** Reads names from the kernel when an event of an unknown generation comes along. */
export class EventNaming {
  readonly #place: Place;
  /** By generation, as they lie in the kernel, and decoded: most are never asked for. */
  readonly #blobs = new Map<number, Uint8Array | null>();
  readonly #names = new Map<number, Names | null>();
  #cgroups = new Map<number, string>();
  readonly #clockOriginMs = Date.now() - Number(process.hrtime.bigint() / 1000n) / 1000;
  readonly #interfaces = new Map<number, string | null>();

  constructor(place: Place) {
    this.#place = place;
  }

  describe(raw: RawEvent): VerdictEvent {
    return describeEvent(raw, {
      names: this.#namesOf(raw.generation),
      cgroupPath: (id) => this.#cgroupPath(id),
      interfaceName: (ifindex) => this.#interfaceName(ifindex),
      clockOriginMs: this.#clockOriginMs,
    });
  }

  /**
   * Remembers the generation in force now, before another can overwrite it. Whoever
   * knows which one that is spares a look for one that is remembered.
   */
  refresh(inForce?: number): void {
    this.#readInterfaces();
    if (inForce !== undefined && this.#blobs.has(inForce)) return;
    const set = openCurrentSet(this.#place.pinRoot);
    if (set === null) return;
    const { generation } = set;
    set.close();
    if (generation !== 0) this.#blobOf(generation);
  }

  #namesOf(generation: number): Names | null {
    const known = this.#names.get(generation);
    if (known !== undefined) return known;
    const names = believed(() => decodeBlob(this.#blobOf(generation) ?? new Uint8Array()).names);
    this.#names.set(generation, names);
    forgetBefore(generation, this.#names);
    return names;
  }

  #blobOf(generation: number): Uint8Array | null {
    const known = this.#blobs.get(generation);
    if (known !== undefined) return known;
    const blob = this.#readBlob(generation);
    this.#blobs.set(generation, blob);
    forgetBefore(generation, this.#blobs);
    return blob;
  }

  #readBlob(generation: number): Uint8Array | null {
    const set = openCurrentSet(this.#place.pinRoot);
    if (set === null) return null;
    try {
      return believed(() => readBlob(set.maps, set.capacity, generation));
    } finally {
      set.close();
    }
  }

  #cgroupPath(id: number): string | null {
    if (!this.#cgroups.has(id)) {
      this.#cgroups = new Map(
        listCgroups(this.#place.cgroupRoot).map((cgroup) => [cgroup.id, cgroup.path]),
      );
      // A cgroup that is gone keeps its number; asking again for it would walk the tree again.
      if (!this.#cgroups.has(id)) this.#cgroups.set(id, `#${String(id)}`);
    }
    return this.#cgroups.get(id) ?? null;
  }

  /** As it is called now; one that is gone by the last name it had here. */
  #interfaceName(ifindex: number): string | null {
    if (!this.#interfaces.has(ifindex)) this.#readInterfaces();
    // Of another network namespace, or gone: asking again for it would list them all again.
    if (!this.#interfaces.has(ifindex)) this.#interfaces.set(ifindex, null);
    return this.#interfaces.get(ifindex) ?? null;
  }

  #readInterfaces(): void {
    for (const { ifindex, name } of listInterfaces()) this.#interfaces.set(ifindex, name);
  }
}

/** null: overwritten, or damaged. */
function believed<Found>(find: () => Found): Found | null {
  try {
    return find();
  } catch (error) {
    if (error instanceof CgfwError && error.code === 'abi') return null;
    throw error;
  }
}

function forgetBefore(generation: number, remembered: Map<number, unknown>): void {
  for (const old of remembered.keys())
    if (remembered.size > REMEMBERED && old < generation) remembered.delete(old);
}
