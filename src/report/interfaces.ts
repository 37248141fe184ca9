// The part of `cgfw status` that is about network interfaces. Pure.

import { interfacePolicyIndex } from '../compile/program.js';
import type { Names } from '../compile/program.js';
import type { InterfaceAttachment, State, XdpMode } from '../compile/state.js';
import { matchesComponent } from '../policy/selector.js';
import { renderRules, statusRules } from './rules.js';
import type { Counts, StatusRule } from './rules.js';
import type { CgroupStatus } from './status.js';

export interface StatusInterface {
  /** Of the interface; for one that waits, the name or glob. */
  readonly name: string;
  readonly ifindex: number | null;
  readonly policy: string;
  /** How the program hangs on it; null when it does not. */
  readonly mode: XdpMode | null;
  readonly state: CgroupStatus;
  /** What keeps it from being attached, or from native mode. */
  readonly reason?: string;
}

export interface StatusInterfacePolicy {
  readonly name: string;
  readonly attach: string;
  readonly rules: readonly StatusRule[];
}

/** Why an interface has no native mode, by ifindex. */
export type Refusals = ReadonlyMap<number, string>;

/** Every interface that a policy is about, sorted by name. */
export function statusInterfaces(
  names: Names,
  loaded: State,
  wanted: State,
  refusals: Refusals,
): StatusInterface[] {
  const present = new Map(loaded.interfaces.map((attachment) => [attachment.ifindex, attachment]));
  return names.interfaces
    .flatMap(({ name: policy, interfaces: selectors }, index) => {
      const own = wanted.interfaces.filter(
        (one) => one.policy === interfacePolicyIndex(names, index),
      );
      const here = own.map((one) => describe(policy, one, present.get(one.ifindex), refusals));
      const waiting = selectors
        .filter((selector) => !own.some(({ name }) => matchesComponent(selector, name)))
        .map((name): StatusInterface => ({
          name,
          ifindex: null,
          policy,
          mode: null,
          state: 'waiting',
        }));
      return [...here, ...waiting];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function describe(
  policy: string,
  wanted: InterfaceAttachment,
  have: InterfaceAttachment | undefined,
  refusals: Refusals,
): StatusInterface {
  const { name, ifindex, heldBy, attach } = wanted;
  const isAttached = have !== undefined && have.policy === wanted.policy;
  if (isAttached) {
    const refusal =
      attach === 'auto' && have.mode === 'generic' ? refusals.get(ifindex) : undefined;
    const reason = refusal === undefined ? {} : { reason: `not native: ${refusal}` };
    return { name, ifindex, policy, mode: have.mode, state: 'attached', ...reason };
  }
  if (heldBy !== null)
    return { name, ifindex, policy, mode: null, state: 'conflict', reason: `held by ${heldBy}` };
  return { name, ifindex, policy, mode: null, state: 'detached' };
}

/** The policies of interfaces with their rules and counters. */
export function statusInterfacePolicies(names: Names, counts: Counts): StatusInterfacePolicy[] {
  return names.interfaces.map(({ name, attach }, index) => ({
    name,
    attach,
    rules: statusRules(names, names.policies.length + index, counts),
  }));
}

/** For people. */
export function renderInterfaces(
  policy: StatusInterfacePolicy,
  interfaces: readonly StatusInterface[],
): string[] {
  const lines = [`interface policy ${policy.name} (attach: ${policy.attach})`];
  for (const { name, mode, state, reason } of interfaces.filter(
    (one) => one.policy === policy.name,
  )) {
    const how = mode === null ? '' : ` (${mode})`;
    lines.push(`  ${state.padEnd(8)}  ${name}${how}${reason === undefined ? '' : `: ${reason}`}`);
  }
  return [...lines, ...renderRules(policy.rules)];
}
