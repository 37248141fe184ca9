// The sweep over IPv4 boundaries.

import type { ClassIds, Segments } from './classes.js';

/**
 * Merges the boundaries of all lists (pairs [first, last], see AddressRanges)
 * in ascending order and asks `ids` for the class between each two of them.
 */
export function sweep4(lists: readonly Uint32Array[], ids: ClassIds): Segments {
  let boundaries = 1;
  for (const list of lists) boundaries += list.length;
  const starts = new Uint32Array(boundaries);
  const classes = new Uint16Array(boundaries);
  const front = new Front(lists);
  ids.membership.clear();
  let count = 1;
  let last = 0;
  while (front.size > 0) {
    const position = front.position;
    do {
      ids.membership.toggle(front.list);
      front.advance();
    } while (front.size > 0 && front.position === position);
    const found = ids.current();
    if (position === 0) {
      classes[0] = last = found;
    } else if (found !== last) {
      starts[count] = position;
      classes[count++] = last = found;
    }
  }
  return { starts: starts.slice(0, count), classes: classes.slice(0, count) };
}

/** A heap of lists by their next boundary: the first address, or the one after the last. */
class Front {
  size = 0;
  private readonly lists: readonly Uint32Array[];
  private readonly cursors: Uint32Array;
  private readonly heap: Uint32Array;
  /** Beside the heap; doubles, because a range may end before 2 ** 32. */
  private readonly keys: Float64Array;

  constructor(lists: readonly Uint32Array[]) {
    this.lists = lists;
    this.cursors = new Uint32Array(lists.length);
    this.heap = new Uint32Array(lists.length);
    this.keys = new Float64Array(lists.length);
    lists.forEach((list, index) => {
      if (list.length > 0) this.heap[this.size++] = index;
    });
    for (let at = 0; at < this.size; at++) this.keys[at] = lists[this.heap[at]!]![0]!;
    for (let at = (this.size >> 1) - 1; at >= 0; at--) this.sink(at);
  }

  get position(): number {
    return this.keys[0]!;
  }

  get list(): number {
    return this.heap[0]!;
  }

  /** Moves the first list to its next boundary; the end of the space is none. */
  advance(): void {
    const list = this.heap[0]!;
    const words = this.lists[list]!;
    const cursor = ++this.cursors[list]!;
    const next = cursor < words.length ? words[cursor]! + (cursor & 1) : 2 ** 32;
    if (next < 2 ** 32) {
      this.keys[0] = next;
    } else {
      this.size--;
      this.heap[0] = this.heap[this.size]!;
      this.keys[0] = this.keys[this.size]!;
    }
    this.sink(0);
  }

  private sink(from: number): void {
    const { heap, keys, size } = this;
    const list = heap[from]!;
    const key = keys[from]!;
    let at = from;
    for (let child = at * 2 + 1; child < size; child = at * 2 + 1) {
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      heap[at] = heap[child]!;
      keys[at] = keys[child]!;
      at = child;
    }
    heap[at] = list;
    keys[at] = key;
  }
}
