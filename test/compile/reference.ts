// What a policy means, slowly: the first rule that matches, straight from the text's meaning.

import {
  POINT_ICMP,
  POINT_ICMPV6,
  POINT_PROTO,
  POINT_SCTP,
  POINT_TCP,
  POINT_UDP,
} from '../../src/abi/points.js';
import { containsAddress } from '../../src/base/ranges.js';
import type { DirectionName, Policy, Rule } from '../../src/policy/policy.js';

export interface Packet {
  /** Index in Policy.policies; from their number on, in Policy.interfaces. */
  readonly policy: number;
  readonly direction: DirectionName;
  readonly family: 4 | 6;
  /** The remote address. */
  readonly words: readonly number[];
  /** The service point. */
  readonly point: number;
}

/** The rule that decides: its index in the direction, or what stands in for one. */
export type Decider = number | 'default' | 'unparsable';

const PORTS = new Map([
  [POINT_PROTO + 6, [POINT_TCP, POINT_TCP + 65535]],
  [POINT_PROTO + 17, [POINT_UDP, POINT_UDP + 65535]],
  [POINT_PROTO + 132, [POINT_SCTP, POINT_SCTP + 65535]],
  [POINT_PROTO + 1, [POINT_ICMP, POINT_ICMP + 255]],
  [POINT_PROTO + 58, [POINT_ICMPV6, POINT_ICMPV6 + 255]],
]);

/** Whether an address is in the list of this index. */
export type Contains = (list: number, packet: Packet) => boolean;

/**
 * First match wins; a port that decides but cannot be read makes the packet
 * unparsable. `contains`: by other means than the ranges of the policy.
 */
export function decide(
  policy: Policy,
  packet: Packet,
  contains: Contains = (list, { family, words }) =>
    containsAddress(policy.lists[list]!.ranges, family, words),
): Decider {
  const { policies, interfaces } = policy;
  const own = policies[packet.policy];
  const { rules } = own?.[packet.direction] ?? interfaces[packet.policy - policies.length]!.ingress;
  for (const rule of rules) {
    if (!hasAddress(rule, packet, contains)) continue;
    if (hasPoint(rule, packet.point, packet.point)) return rule.index;
    const ports = PORTS.get(packet.point);
    if (ports !== undefined && hasPoint(rule, ports[0]!, ports[1]!)) return 'unparsable';
  }
  return 'default';
}

function hasAddress({ lists }: Rule, packet: Packet, contains: Contains): boolean {
  return lists === 'any' || lists.some((list) => contains(list, packet));
}

/** Does the rule name a point from first to last? */
function hasPoint({ services }: Rule, first: number, last: number): boolean {
  if (services === 'any') return true;
  return services.some((from, at) => at % 2 === 0 && from <= last && services[at + 1]! >= first);
}
