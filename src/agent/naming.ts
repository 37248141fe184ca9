// Puts names to raw events: rule names of their generation, cgroup paths, interfaces.

import type { RawEvent } from '../abi/event.js';
import { CgfwError } from '../base/error.js';
import type { Names } from '../compile/program.js';
import { listCgroups } from '../kernel/cgroups.js';
import { listInterfaces } from '../kernel/native.js';
import type { Place } from '../kernel/place.js';
import { openCurrentSet } from '../kernel/set.js';
import { readSlot } from '../kernel/slot.js';
import { describeEvent } from '../report/verdict.js';
import type { VerdictEvent } from '../report/verdict.js';

/** Generations whose names are kept: events may come out late. */
const REMEMBERED = 4;

/** Reads names from the kernel when an event of an unknown generation comes along. */
export class EventNaming {
  readonly #place: Place;
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

  /** Remembers the generation in force now, before another can overwrite it. */
  refresh(): void {
    this.#readInterfaces();
    const set = openCurrentSet(this.#place.pinRoot);
    if (set === null) return;
    const { generation } = set;
    set.close();
    if (generation !== 0) this.#namesOf(generation);
  }

  #namesOf(generation: number): Names | null {
    const known = this.#names.get(generation);
    if (known !== undefined) return known;
    const names = this.#readNames(generation);
    this.#names.set(generation, names);
    for (const old of this.#names.keys()) {
      if (this.#names.size > REMEMBERED && old < generation) this.#names.delete(old);
    }
    return names;
  }

  #readNames(generation: number): Names | null {
    const set = openCurrentSet(this.#place.pinRoot);
    if (set === null) return null;
    try {
      return readSlot(set.maps, set.capacity, generation, 'names-only').names;
    } catch (error) {
      if (error instanceof CgfwError && error.code === 'abi') return null;
      throw error;
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
