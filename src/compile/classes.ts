// All address lists flattened into one partition of the address space.

import type { AddressList } from '../policy/policy.js';
import {
  figure,
  MAX_CLASSES,
  MAX_MEMBERSHIPS,
  MAX_RANGES4,
  MAX_RANGES6,
  tooBig,
} from './limits.js';
import { Membership } from './membership.js';
import { sweep4 } from './sweep4.js';
import { sweep6 } from './sweep6.js';

/**
 * The whole address space of one family cut into segments: segment i begins at
 * starts[i] (IPv4: one word, IPv6: four words, most significant first) and ends
 * before the next one. The first begins at 0; neighbours differ in class.
 */
export interface Segments {
  readonly starts: Uint32Array;
  readonly classes: Uint16Array;
}

/** Every address has one class: the set of lists that hold it. Class 0 is the empty set. */
export interface Partition {
  readonly v4: Segments;
  readonly v6: Segments;
  /** By class: the lists it belongs to, ascending. */
  readonly classes: readonly (readonly number[])[];
}

/** Numbers the sets that a sweep meets, in the order in which it meets them. */
export class ClassIds {
  readonly membership: Membership;
  /** By class: id of its set. */
  readonly sets: number[] = [];
  private classes = new Int32Array(1024).fill(-1);
  private readonly what: string;

  /** `what` is being divided by so many sets: both are named when there are too many classes. */
  constructor(size: number, what: string) {
    this.membership = new Membership(size);
    this.what = what;
    this.current();
  }

  /** The class of the present set. */
  current(): number {
    const id = this.membership.id;
    if (id >= this.classes.length) {
      const larger = new Int32Array(Math.max(id + 1, this.classes.length * 2)).fill(-1);
      larger.set(this.classes);
      this.classes = larger;
    }
    const known = this.classes[id]!;
    return known >= 0 ? known : this.add(id);
  }

  private add(id: number): number {
    if (this.sets.length === MAX_CLASSES) {
      throw tooBig(
        `${this.what} overlap in more than ${figure(MAX_CLASSES - 1)} different combinations`,
        'use fewer lists that overlap each other, or join lists that are always used together',
      );
    }
    this.classes[id] = this.sets.length;
    return this.sets.push(id) - 1;
  }
}

/**
 * Flattens all lists into disjoint segments with a class each. Classes count
 * by first appearance, IPv4 ascending, then IPv6, so that equal lists give
 * equal bytes. Linear in the boundaries, times the logarithm of the number of
 * lists; pure. Throws `invalid-policy` when a limit of the tables is met.
 */
export function flatten(lists: readonly AddressList[]): Partition {
  const ids = new ClassIds(lists.length, 'address lists');
  const v4 = sweep4(
    lists.map((list) => list.ranges.v4),
    ids,
  );
  checkRanges('IPv4', v4.classes.length, MAX_RANGES4);
  const v6 = sweep6(
    lists.map((list) => list.ranges.v6),
    ids,
  );
  checkRanges('IPv6', v6.classes.length, MAX_RANGES6);
  let memberships = 0;
  for (const id of ids.sets) memberships += ids.membership.countOf(id);
  if (memberships > MAX_MEMBERSHIPS) {
    throw tooBig(
      `${figure(lists.length)} address lists overlap too much: ${figure(ids.sets.length)} classes ` +
        `with ${figure(memberships)} memberships, where ${figure(MAX_MEMBERSHIPS)} fit`,
      'use fewer lists that cover the same addresses',
    );
  }
  return { v4, v6, classes: ids.sets.map((id) => ids.membership.membersOf(id)) };
}

function checkRanges(family: string, found: number, allowed: number): void {
  if (found <= allowed) return;
  throw tooBig(
    `address lists have ${figure(found)} ${family} ranges in all, where ${figure(allowed)} fit`,
    'use shorter lists, or wider prefixes',
  );
}
