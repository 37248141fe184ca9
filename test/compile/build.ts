// Small policies for tests, with everything that a test does not care about left out.

import { mergeRanges, NO_ADDRESSES, type AddressRanges } from '../../src/base/ranges.js';
import type {
  Action,
  AddressList,
  CgroupPolicy,
  Direction,
  Policy,
  Rule,
} from '../../src/policy/policy.js';

/** An IPv4 list from pairs of first and last address. */
export function ranges4(...pairs: readonly number[]): AddressRanges {
  return mergeRanges({ v4: Uint32Array.from(pairs), v6: new Uint32Array(0) });
}

/** An IPv6 list from groups of eight words. */
export function ranges6(...words: readonly number[]): AddressRanges {
  return mergeRanges({ v4: new Uint32Array(0), v6: Uint32Array.from(words) });
}

export function list(name: string, ranges: AddressRanges = NO_ADDRESSES): AddressList {
  return { name, ranges };
}

/** Its index and line are set by direction(). */
export function rule(
  action: Action,
  lists: Rule['lists'],
  services: readonly number[] | 'any',
  more: Partial<Rule> = {},
): Rule {
  return {
    index: 0,
    line: 1,
    action,
    log: 'denied',
    lists,
    services: services === 'any' ? 'any' : Uint32Array.from(services),
    summary: `${action} something`,
    ...more,
  };
}

export function direction(byDefault: Action, ...rules: readonly Rule[]): Direction {
  return {
    isDeclared: true,
    default: byDefault,
    defaultLine: 1,
    rules: rules.map((each, index) => ({ ...each, index })),
  };
}

export function cgroupPolicy(name: string, more: Partial<CgroupPolicy> = {}): CgroupPolicy {
  return {
    name,
    line: 1,
    cgroups: ['demo'],
    mode: 'enforce',
    log: 'denied',
    raw: 'allow',
    accelerate: false,
    egress: { ...direction('allow'), isDeclared: false },
    ingress: { ...direction('allow'), isDeclared: false },
    ...more,
  };
}

export function policyOf(lists: readonly AddressList[], policies: readonly CgroupPolicy[]): Policy {
  return {
    text: 'version: 1\n',
    origin: '/etc/cgfw/policy.yaml',
    hash: 'f00d',
    lists,
    policies,
    interfaces: [],
  };
}
