// Desired against loaded: do all of these actions, and loaded becomes desired.

import type { Capacity } from '../compile/tables.js';
import type { Program } from '../compile/program.js';
import { HOOKS } from '../compile/state.js';
import type { Attachment, ProgramSet, State } from '../compile/state.js';
import type { Action, LoadReason, Plan, Summary } from './action.js';
import { changesBetween } from './changes.js';
import type { Change } from './changes.js';
import {
  assignInterfaces,
  attachInterfaces,
  detachInterfaces,
  updateInterfaces,
} from './interfaces.js';

/**
 * The plan that turns `loaded` into `desired`. Pure; empty exactly when nothing
 * has to be done. Order: new programs aside, links on them, tables aside, the
 * switch, then whatever has become useless.
 */
export function diff(desired: State, loaded: State): Plan {
  const needsSwitch = !isSameProgram(desired.program, loaded.program);
  const actions: Action[] = [
    ...loads(desired, loaded),
    ...attaches(desired, loaded, needsSwitch),
    ...attachInterfaces(desired, loaded, needsSwitch),
    ...(needsSwitch ? fills(desired, loaded) : []),
    ...assigns(desired, loaded, needsSwitch),
    ...assignInterfaces(desired, loaded, needsSwitch),
    ...(needsSwitch ? switches(loaded) : []),
    ...detaches(desired, loaded),
    ...detachInterfaces(desired, loaded),
    ...sweeps(desired, loaded),
  ];
  return {
    inStep: actions.length === 0,
    policyHash: desired.program?.names.hash ?? null,
    loadedHash: loaded.program?.names.hash ?? null,
    actions,
    summary: summarize(actions),
  };
}

function loads(desired: State, loaded: State): Action[] {
  if (desired.programs === null) return [];
  const reason = loadReason(desired.programs, loaded.programs);
  const set = desired.programs;
  const load: Action[] = reason === null ? [] : [{ op: 'load', target: 'programs', reason, set }];
  const wanted = byId(desired.attachments);
  const updates = loaded.attachments.flatMap((attachment): Action[] => {
    const tolerated = wanted.get(attachment.id)?.outdated ?? [];
    const outdated = attachment.outdated.filter((hook) => !tolerated.includes(hook));
    const hooks = reason === null ? outdated : attachment.hooks;
    if (hooks.length === 0) return [];
    return [{ op: 'update', target: attachment.path, id: attachment.id, hooks }];
  });
  return [
    ...load,
    ...updates,
    ...updateInterfaces(desired, loaded, reason === null ? 'same' : 'new'),
  ];
}

function loadReason(desired: ProgramSet, loaded: ProgramSet | null): LoadReason | null {
  if (loaded === null) return 'first start';
  if (desired.build !== loaded.build) return 'programs changed';
  if (desired.capacity.acceleration > loaded.capacity.acceleration) return 'a policy accelerates';
  return fits(desired.capacity, loaded.capacity) ? null : 'tables must grow';
}

function fits(needed: Capacity, given: Capacity): boolean {
  return (Object.keys(needed) as (keyof Capacity)[]).every((key) => needed[key] <= given[key]);
}

function policyName(state: State, index: number): string | null {
  return state.program?.names.policies[index - 1]?.name ?? null;
}

function attaches(desired: State, loaded: State, needsSwitch: boolean): Action[] {
  const present = byId(loaded.attachments);
  return desired.attachments.flatMap((wanted): Action[] => {
    const have = present.get(wanted.id)?.hooks ?? [];
    const hooks = wanted.hooks.filter((hook) => !have.includes(hook));
    if (hooks.length === 0) return [];
    const policy = policyName(desired, wanted.policy) ?? '';
    const attach: Action = { op: 'attach', target: wanted.path, id: wanted.id, policy, hooks };
    const isNew = !present.has(wanted.id);
    return isNew && !needsSwitch ? [attach, assign(desired, wanted, 'active')] : [attach];
  });
}

function assign(desired: State, wanted: Attachment, slot: 'idle' | 'active'): Action {
  return {
    op: 'assign',
    target: wanted.path,
    id: wanted.id,
    index: wanted.policy,
    policy: policyName(desired, wanted.policy),
    slot,
  };
}

function fills(desired: State, loaded: State): Action[] {
  const changes = changesBetween(desired.program, loaded.program);
  return [{ op: 'fill', target: `generation ${String(loaded.generation + 1)}`, changes }];
}

/** Before a switch every attached cgroup is assigned aside; without one only what drifted. */
function assigns(desired: State, loaded: State, needsSwitch: boolean): Action[] {
  const present = byId(loaded.attachments);
  const wanted = byId(desired.attachments);
  const actions: Action[] = [];
  for (const attachment of desired.attachments) {
    if (needsSwitch) actions.push(assign(desired, attachment, 'idle'));
    else {
      const have = present.get(attachment.id);
      if (have !== undefined && have.policy !== attachment.policy) {
        actions.push(assign(desired, attachment, 'active'));
      }
    }
  }
  if (!needsSwitch) return actions;
  for (const attachment of loaded.attachments) {
    if (wanted.has(attachment.id)) continue;
    actions.push(assign(desired, { ...attachment, policy: 0 }, 'idle'));
  }
  return actions;
}

function switches(loaded: State): Action[] {
  const { generation } = loaded;
  return [{ op: 'switch', target: 'generation', from: generation, to: generation + 1 }];
}

function detaches(desired: State, loaded: State): Action[] {
  const wanted = byId(desired.attachments);
  return loaded.attachments.flatMap((attachment): Action[] => {
    const keep = wanted.get(attachment.id)?.hooks ?? [];
    const hooks = HOOKS.filter((hook) => attachment.hooks.includes(hook) && !keep.includes(hook));
    if (hooks.length === 0) return [];
    return [{ op: 'detach', target: attachment.path, id: attachment.id, hooks }];
  });
}

/** What nothing needs any more, with the set that a load has replaced. */
function sweeps(desired: State, loaded: State): Action[] {
  const replaced = loads(desired, loaded).some((action) => action.op === 'load');
  const old = replaced && loaded.programs !== null ? [loaded.programs.folder] : [];
  const useless = loaded.leftovers.filter((pin) => !desired.leftovers.includes(pin));
  return [...old, ...useless].map((pin): Action => ({ op: 'sweep', target: pin }));
}

function byId(attachments: readonly Attachment[]): Map<number, Attachment> {
  return new Map(attachments.map((attachment) => [attachment.id, attachment]));
}

/** Whether two compiled policies are the same to the last byte. */
export function isSameProgram(a: Program | null, b: Program | null): boolean {
  if (a === b || a === null || b === null) return a === b;
  if (a.text !== b.text || JSON.stringify(a.names) !== JSON.stringify(b.names)) return false;
  const tables = Object.keys(a.tables) as (keyof Program['tables'])[];
  return tables.every((table) => isSameArray(a.tables[table], b.tables[table]));
}

function isSameArray(a: Uint32Array | Uint16Array, b: Uint32Array | Uint16Array): boolean {
  const bytes = (array: Uint32Array | Uint16Array): Buffer =>
    Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  return bytes(a).equals(bytes(b));
}

function summarize(actions: readonly Action[]): Summary {
  const changes = actions.flatMap((action) => (action.op === 'fill' ? action.changes : []));
  const rules = (op: Change['op']): number =>
    changes.filter((change) => change.op === op && countsAsRule(change)).length;
  const addresses = (op: Change['op']): number =>
    changes
      .filter((change) => change.op === op && change.kind === 'address')
      .reduce((sum, change) => sum + (change.count ?? 1), 0);
  return {
    attach: actions.filter((action) => action.op === 'attach').length,
    detach: actions.filter((action) => action.op === 'detach').length,
    rules: { add: rules('add'), remove: rules('remove'), change: rules('change') },
    addresses: { add: addresses('add'), remove: addresses('remove') },
  };
}

/** A changed default is a changed rule; a new policy's default is not a new rule. */
function countsAsRule(change: Change): boolean {
  return change.kind === 'rule' || (change.kind === 'default' && change.op === 'change');
}
