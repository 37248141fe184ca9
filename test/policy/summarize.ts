// A resolved policy as a few lines of text, for test/cases.

import {
  POINT_ICMP,
  POINT_ICMPV6,
  POINT_PROTO,
  POINT_SCTP,
  POINT_TCP,
  POINT_UDP,
} from '../../src/abi/points.js';
import { toPrefixes } from '../../src/base/ranges.js';
import type { Direction, Policy, Rule } from '../../src/policy/policy.js';

/** Every policy, direction and rule with names replaced: `0 allow corp [10.0.0.0/8]: 443/tcp`. */
export function summarize(policy: Policy): string {
  const ofCgroups = policy.policies.map((one) => {
    const head = `policy ${one.name}: ${one.cgroups.join(', ')}; ${one.mode}, log ${one.log}, raw ${one.raw}${one.accelerate ? ', accelerate' : ''}`;
    return [
      head,
      ...direction(policy, 'egress', one.egress),
      ...direction(policy, 'ingress', one.ingress),
    ].join('\n');
  });
  const ofInterfaces = policy.interfaces.map((one) => {
    const head = `interface policy ${one.name}: ${one.interfaces.join(', ')}; ${one.attach}, log ${one.log}`;
    return [head, ...direction(policy, 'ingress', one.ingress)].join('\n');
  });
  return [...ofCgroups, ...ofInterfaces].join('\n');
}

function direction(
  policy: Policy,
  name: string,
  { isDeclared, default: action, rules }: Direction,
): readonly string[] {
  if (!isDeclared) return [];
  return [`  ${name}: ${action}`, ...rules.map((rule) => `    ${line(policy, rule)}`)];
}

function line(policy: Policy, rule: Rule): string {
  const addresses =
    rule.lists === 'any'
      ? 'any'
      : rule.lists
          .map((index) => {
            const list = policy.lists[index];
            return list === undefined
              ? '?'
              : `${list.name} [${toPrefixes(list.ranges, 20).prefixes.join(', ')}]`;
          })
          .join(' + ');
  const name = rule.name === undefined ? '' : ` (${rule.name})`;
  const services = rule.services === 'any' ? '' : `: ${describePoints(rule.services)}`;
  return `${rule.index}${name} ${rule.action} ${addresses}${services}${rule.log === 'denied' ? '' : `, log ${rule.log}`}`;
}

const SPACES: readonly (readonly [base: number, size: number, suffix: (text: string) => string])[] =
  [
    [POINT_TCP, 65536, (text) => `${text}/tcp`],
    [POINT_UDP, 65536, (text) => `${text}/udp`],
    [POINT_SCTP, 65536, (text) => `${text}/sctp`],
    [POINT_ICMP, 256, (text) => `icmp/${text}`],
    [POINT_ICMPV6, 256, (text) => `icmpv6/${text}`],
    [POINT_PROTO, 256, (text) => `proto/${text}`],
  ];

/** Point ranges by the space that they lie in. */
export function describePoints(points: Uint32Array): string {
  const parts: string[] = [];
  for (const [base, size, suffix] of SPACES) {
    for (let i = 0; i < points.length; i += 2) {
      const first = Math.max((points[i] ?? 0) - base, 0);
      const last = Math.min((points[i + 1] ?? 0) - base, size - 1);
      if (first <= last) parts.push(suffix(first === last ? String(first) : `${first}-${last}`));
    }
  }
  return parts.join(' ');
}
