// The axis of service points, divided into what the rules tell apart.

import {
  POINT_ICMP,
  POINT_ICMPV6,
  POINT_PROTO,
  POINT_SCTP,
  POINT_TCP,
  POINT_UDP,
  POINTS,
} from '../abi/points.js';
import type { Policy } from '../policy/policy.js';
import { ClassIds } from './classes.js';

/** Where the ports or types of a protocol are, and the point for packets that do not show them. */
const PORTED = [
  { first: POINT_TCP, last: POINT_TCP + 65535, unread: POINT_PROTO + 6 },
  { first: POINT_UDP, last: POINT_UDP + 65535, unread: POINT_PROTO + 17 },
  { first: POINT_SCTP, last: POINT_SCTP + 65535, unread: POINT_PROTO + 132 },
  { first: POINT_ICMP, last: POINT_ICMP + 255, unread: POINT_PROTO + 1 },
  { first: POINT_ICMPV6, last: POINT_ICMPV6 + 255, unread: POINT_PROTO + 58 },
] as const;

/** What the `ports` of one or more rules mean. */
export interface ServiceSet {
  /** Pairs [first, last], inclusive, sorted and disjoint. */
  readonly ranges: Uint32Array;
  /**
   * Points at which a port decides that the packet does not show: some ports
   * of the protocol are in `ranges`, but not the protocol as a whole.
   */
  readonly undecided: readonly number[];
}

/** The axis cut where membership changes: segment i has class classes[i]. */
export interface PointSegments {
  /** The first is 0; the last segment ends at POINTS. */
  readonly starts: Uint32Array;
  /** Numbered by first appearance: equal membership, equal class. */
  readonly classes: Uint16Array;
  readonly count: number;
}

/** The distinct service sets of a policy, and which of them each array of ranges is. */
export class ServiceSets {
  readonly sets: ServiceSet[] = [];
  private readonly byArray = new Map<Uint32Array, ServiceSet>();
  private readonly byContent = new Map<string, ServiceSet>();

  constructor(policy: Policy) {
    const directions = [
      ...policy.policies.flatMap(({ egress, ingress }) => [egress, ingress]),
      ...policy.interfaces.map(({ ingress }) => ingress),
    ];
    for (const { rules } of directions) {
      for (const rule of rules) if (rule.services !== 'any') this.add(rule.services);
    }
  }

  /** The set of a rule's `services`, the same object for equal contents. */
  setOf(services: Uint32Array): ServiceSet {
    const set = this.byArray.get(services);
    if (set === undefined) throw new Error('service ranges of another policy');
    return set;
  }

  private add(ranges: Uint32Array): void {
    if (this.byArray.has(ranges)) return;
    const content = ranges.join();
    let set = this.byContent.get(content);
    if (set === undefined) {
      set = { ranges, undecided: undecidedPoints(ranges) };
      this.byContent.set(content, set);
      this.sets.push(set);
    }
    this.byArray.set(ranges, set);
  }
}

/** Points of protocols that these ranges name in part: see ServiceSet.undecided. */
export function undecidedPoints(ranges: Uint32Array): number[] {
  return PORTED.filter(
    ({ first, last, unread }) => touches(ranges, first, last) && !touches(ranges, unread, unread),
  ).map(({ unread }) => unread);
}

function touches(ranges: Uint32Array, first: number, last: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if (ranges[at]! <= last && ranges[at + 1]! >= first) return true;
  }
  return false;
}

/**
 * Divides the axis so that points in the same sets, decided and undecided
 * alike, have the same class, and others do not; class 0 is for points in none.
 * `what` names the sets when they make more than 65,536 classes.
 */
export function dividePoints(sets: readonly ServiceSet[], what: string): PointSegments {
  const ids = new ClassIds(sets.length * 2, what);
  const members = Math.max(1, sets.length * 2);
  const events = sortedEvents(sets, members);
  const starts = new Uint32Array(events.length + 1);
  const classes = new Uint16Array(events.length + 1);
  let count = 1;
  for (let at = 0; at < events.length;) {
    const position = Math.floor(events[at]! / members);
    for (; at < events.length && Math.floor(events[at]! / members) === position; at++) {
      ids.membership.toggle(events[at]! % members);
    }
    const found = ids.current();
    if (position === 0) {
      classes[0] = found;
    } else if (position < POINTS && found !== classes[count - 1]) {
      starts[count] = position;
      classes[count++] = found;
    }
  }
  return {
    starts: starts.slice(0, count),
    classes: classes.slice(0, count),
    count: ids.sets.length,
  };
}

/** The `services` table: the class of each point. */
export function servicesTable(segments: PointSegments): Uint16Array {
  const table = new Uint16Array(POINTS);
  segments.starts.forEach((start, at) => {
    table.fill(segments.classes[at]!, start, segments.starts[at + 1] ?? POINTS);
  });
  return table;
}

/**
 * Where membership changes, as position * members + member: member 2s is set s,
 * member 2s + 1 are its undecided points.
 */
function sortedEvents(sets: readonly ServiceSet[], members: number): Float64Array {
  let length = 0;
  for (const { ranges, undecided } of sets) length += ranges.length + undecided.length * 2;
  const events = new Float64Array(length);
  let at = 0;
  sets.forEach(({ ranges, undecided }, set) => {
    for (let i = 0; i < ranges.length; i += 2) {
      events[at++] = ranges[i]! * members + set * 2;
      events[at++] = (ranges[i + 1]! + 1) * members + set * 2;
    }
    for (const point of undecided) {
      events[at++] = point * members + set * 2 + 1;
      events[at++] = (point + 1) * members + set * 2 + 1;
    }
  });
  return events.sort();
}
