// What is in force, as the document of `cgfw status --json`. Pure.

import type { Names } from '../compile/program.js';
import type { OwnedCgroup } from '../compile/owners.js';
import { BASE_HOOKS } from '../compile/state.js';
import type { State } from '../compile/state.js';
import { matchesSelector } from '../policy/selector.js';
import { renderInterfaces } from './interfaces.js';
import type { StatusInterface, StatusInterfacePolicy } from './interfaces.js';
import { renderAcceleration } from './acceleration.js';
import type { StatusAcceleration } from './acceleration.js';
import { renderRules, statusRules } from './rules.js';
import type { Counts, StatusRule } from './rules.js';

export type CgroupStatus = 'attached' | 'waiting' | 'conflict' | 'detached';

export interface StatusCgroup {
  /** Of the cgroup; for one that waits, the selector. */
  readonly path: string;
  readonly id: number | null;
  readonly state: CgroupStatus;
  /** The ancestor whose programs judge this cgroup too, by the same policy. */
  readonly via?: string;
  /** What keeps it from being attached. */
  readonly reason?: string;
}

export interface StatusPolicy {
  readonly name: string;
  readonly mode: string;
  readonly accelerate: boolean;
  readonly cgroups: readonly StatusCgroup[];
  readonly rules: readonly StatusRule[];
}

export interface StatusMap {
  readonly name: string;
  readonly used: number;
  readonly capacity: number;
  readonly unit: string;
}

export interface Status {
  readonly generation: number;
  readonly policyHash: string | null;
  readonly file: string | null;
  readonly enforcing: boolean;
  readonly asDeclared: boolean;
  readonly notes: readonly string[];
  /** A policy that is undone unless cgfw confirm follows. */
  readonly trial: { readonly seconds: number } | null;
  readonly policies: readonly StatusPolicy[];
  readonly interfaces: readonly StatusInterface[];
  readonly interfacePolicies: readonly StatusInterfacePolicy[];
  /** Frames that passed a managed interface because no rule is about them: ARP, LLDP and the like. */
  readonly frames: { readonly notIp: number };
  readonly maps: readonly StatusMap[];
  readonly events: { readonly emitted: number; readonly suppressed: number; readonly lost: number };
  readonly faults: Readonly<Record<string, number>>;
  /** null: no policy has asked for acceleration. */
  readonly acceleration: StatusAcceleration | null;
}

export interface Measured {
  readonly owned: readonly OwnedCgroup[];
  readonly counts: Counts;
  /** Why a cgroup that ought to be attached is not, by its path. */
  readonly conflicts: ReadonlyMap<string, string>;
}

/** The policies in force with their cgroups and rules; `wanted` is what should be attached. */
export function statusPolicies(
  names: Names,
  loaded: State,
  wanted: State,
  measured: Measured,
): StatusPolicy[] {
  return names.policies.map((policy, index) => ({
    name: policy.name,
    mode: policy.mode,
    accelerate: policy.accelerate,
    cgroups: statusCgroups(names, index, loaded, wanted, measured),
    rules: statusRules(names, index, measured.counts),
  }));
}

function statusCgroups(
  names: Names,
  index: number,
  loaded: State,
  wanted: State,
  measured: Measured,
): StatusCgroup[] {
  const owned = (state: State): State['attachments'] =>
    state.attachments.filter((attachment) => attachment.policy === index + 1);
  // With a hook missing a cgroup is not covered, whatever the others do.
  const needed = new Map(wanted.attachments.map(({ id, hooks }) => [id, hooks]));
  const whole = owned(loaded).filter(({ id, hooks }) =>
    (needed.get(id) ?? BASE_HOOKS).every((hook) => hooks.includes(hook)),
  );
  const attached = new Set(whole.map(({ id }) => id));
  const cgroups: StatusCgroup[] = whole.map(({ path, id }) => ({ path, id, state: 'attached' }));
  for (const attachment of owned(wanted)) {
    if (attached.has(attachment.id)) continue;
    const reason = measured.conflicts.get(attachment.path);
    const state = reason === undefined ? 'detached' : 'conflict';
    cgroups.push({
      path: attachment.path,
      id: attachment.id,
      state,
      ...(reason === undefined ? {} : { reason }),
    });
  }
  for (const { path, id, policy, via } of measured.owned) {
    const isCovered = cgroups.some((cgroup) => cgroup.path === via && cgroup.state === 'attached');
    if (policy !== index + 1 || via === null || !isCovered) continue;
    cgroups.push({ path, id, state: 'attached', via });
  }
  const paths = cgroups.map(({ path }) => path);
  for (const selector of names.policies[index]?.cgroups ?? []) {
    if (paths.some((path) => matchesSelector(selector, path))) continue;
    cgroups.push({ path: selector, id: null, state: 'waiting' });
  }
  return cgroups.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The document for people. */
export function renderStatus(status: Status): string {
  const lines: string[] = [];
  if (status.enforcing) {
    lines.push(
      `enforcing generation ${String(status.generation)}, policy ${status.policyHash?.slice(0, 12) ?? '?'} from ${status.file ?? '?'}`,
    );
  } else lines.push('not enforcing: no policy is loaded');
  for (const note of status.notes) lines.push(`note: ${note}`);
  for (const policy of status.policies) lines.push('', ...renderPolicy(policy));
  for (const policy of status.interfacePolicies)
    lines.push('', ...renderInterfaces(policy, status.interfaces));
  const { emitted, suppressed, lost } = status.events;
  lines.push(
    '',
    `events   ${String(emitted)} emitted, ${String(suppressed)} suppressed, ${String(lost)} lost`,
  );
  if (status.interfacePolicies.length > 0)
    lines.push(`frames   ${String(status.frames.notIp)} that are not IP passed`);
  lines.push(...renderAcceleration(status.acceleration));
  const faults = Object.entries(status.faults).filter(([, count]) => count > 0);
  for (const [name, count] of faults) lines.push(`fault    ${name}: ${String(count)}`);
  const fullest = [...status.maps]
    .sort((a, b) => b.used / b.capacity - a.used / a.capacity)
    .slice(0, 3);
  const pressure = fullest.map(
    ({ name, used, capacity }) => `${name} ${String(Math.ceil((100 * used) / capacity))}%`,
  );
  if (pressure.length > 0) lines.push(`fullest  ${pressure.join(', ')}`);
  return `${lines.join('\n')}\n`;
}

function renderPolicy(policy: StatusPolicy): string[] {
  const lines = [
    `policy ${policy.name} (${policy.mode}${policy.accelerate ? ', accelerate' : ''})`,
  ];
  for (const { path, state, reason, via } of policy.cgroups) {
    if (via !== undefined) continue;
    lines.push(`  ${state.padEnd(8)}  ${path}${reason === undefined ? '' : `: ${reason}`}`);
    const below = policy.cgroups.filter((cgroup) => cgroup.via === path).length;
    if (below > 0) lines.push(`            and ${String(below)} below it`);
  }
  return [...lines, ...renderRules(policy.rules)];
}
