// The sweep over IPv6 boundaries.

import type { ClassIds, Segments } from './classes.js';

/** As sweep4, over groups of eight words: first (4), last (4), most significant first. */
export function sweep6(lists: readonly Uint32Array[], ids: ClassIds): Segments {
  let boundaries = 1;
  for (const list of lists) boundaries += list.length >> 2;
  const starts = new Uint32Array(boundaries * 4);
  const classes = new Uint16Array(boundaries);
  const front = new Front(lists);
  ids.membership.clear();
  let count = 1;
  let last = 0;
  while (front.size > 0) {
    const to = count * 4;
    front.copyPosition(starts, to);
    do {
      ids.membership.toggle(front.list);
      front.advance();
    } while (front.size > 0 && front.isAt(starts, to));
    const found = ids.current();
    if (starts[to] === 0 && starts[to + 1] === 0 && starts[to + 2] === 0 && starts[to + 3] === 0) {
      classes[0] = last = found;
    } else if (found !== last) {
      classes[count++] = last = found;
    }
  }
  return { starts: starts.slice(0, count * 4), classes: classes.slice(0, count) };
}

/** A heap of lists by their next boundary, kept as four words for each list. */
class Front {
  size = 0;
  private readonly lists: readonly Uint32Array[];
  private readonly cursors: Uint32Array;
  private readonly heap: Uint32Array;
  private readonly keys: Uint32Array;

  constructor(lists: readonly Uint32Array[]) {
    this.lists = lists;
    this.cursors = new Uint32Array(lists.length);
    this.heap = new Uint32Array(lists.length);
    this.keys = new Uint32Array(lists.length * 4);
    lists.forEach((words, list) => {
      if (words.length === 0) return;
      this.keys.set(words.subarray(0, 4), list * 4);
      this.heap[this.size++] = list;
    });
    for (let at = (this.size >> 1) - 1; at >= 0; at--) this.sink(at);
  }

  get list(): number {
    return this.heap[0]!;
  }

  copyPosition(into: Uint32Array, to: number): void {
    const from = this.heap[0]! * 4;
    for (let word = 0; word < 4; word++) into[to + word] = this.keys[from + word]!;
  }

  isAt(position: Uint32Array, at: number): boolean {
    const { keys } = this;
    const from = this.heap[0]! * 4;
    return (
      keys[from + 3] === position[at + 3] &&
      keys[from + 2] === position[at + 2] &&
      keys[from + 1] === position[at + 1] &&
      keys[from] === position[at]
    );
  }

  /** Moves the first list to its next boundary; the end of the space is none. */
  advance(): void {
    const list = this.heap[0]!;
    if (!this.step(list)) this.heap[0] = this.heap[--this.size]!;
    this.sink(0);
  }

  private step(list: number): boolean {
    const words = this.lists[list]!;
    const cursor = ++this.cursors[list]!;
    const from = cursor * 4;
    if (from >= words.length) return false;
    let carry = cursor & 1;
    for (let word = 3; word >= 0; word--) {
      const sum = words[from + word]! + carry;
      this.keys[list * 4 + word] = sum;
      carry = sum > 0xffffffff ? 1 : 0;
    }
    return carry === 0;
  }

  private sink(from: number): void {
    const { heap, size } = this;
    const list = heap[from]!;
    let at = from;
    for (let child = at * 2 + 1; child < size; child = at * 2 + 1) {
      if (child + 1 < size && this.isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.isBefore(heap[child]!, list)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = list;
  }

  private isBefore(a: number, b: number): boolean {
    const { keys } = this;
    let i = a * 4;
    let j = b * 4;
    for (let word = 0; word < 3; word++, i++, j++) {
      if (keys[i] !== keys[j]) return keys[i]! < keys[j]!;
    }
    return keys[i]! < keys[j]!;
  }
}
