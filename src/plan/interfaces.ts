// The part of a plan that is about network interfaces.

import { policyOfRule } from '../compile/program.js';
import type { InterfaceAttachment, State } from '../compile/state.js';
import type { InterfaceAction, Slot } from './action.js';

type ByIfindex = ReadonlyMap<number, InterfaceAttachment>;

const targetOf = ({ name }: InterfaceAttachment): string => `interface ${name}`;

function byIfindex({ interfaces }: State): ByIfindex {
  return new Map(interfaces.map((attachment) => [attachment.ifindex, attachment]));
}

function policyName({ program }: State, index: number): string | null {
  if (program === null || index === 0) return null;
  return policyOfRule(program.names, { policy: index - 1 })?.name ?? null;
}

/** Links that have to move to the programs of another set: all of them when one is loaded. */
export function updateInterfaces(
  desired: State,
  loaded: State,
  programs: 'new' | 'same',
): InterfaceAction[] {
  const wanted = byIfindex(desired);
  return loaded.interfaces
    .filter(
      ({ ifindex, isOutdated }) =>
        programs === 'new' || (isOutdated && wanted.get(ifindex)?.isOutdated !== true),
    )
    .map((have) => ({ op: 'update', target: targetOf(have), ifindex: have.ifindex }));
}

/** Interfaces without our program, or with it in a mode that their policy does not accept. */
export function attachInterfaces(
  desired: State,
  loaded: State,
  needsSwitch: boolean,
): InterfaceAction[] {
  const present = byIfindex(loaded);
  return desired.interfaces.flatMap((wanted): InterfaceAction[] => {
    const have = present.get(wanted.ifindex);
    if (have !== undefined && (wanted.mode === null || wanted.mode === have.mode)) return [];
    const { ifindex, attach, heldBy } = wanted;
    const action: InterfaceAction = {
      op: 'attach',
      target: targetOf(wanted),
      ifindex,
      policy: policyName(desired, wanted.policy) ?? '',
      attach,
      replaces: have?.mode ?? null,
      heldBy,
    };
    return have === undefined && !needsSwitch
      ? [action, assign(desired, wanted, 'active')]
      : [action];
  });
}

function assign(desired: State, wanted: InterfaceAttachment, slot: Slot): InterfaceAction {
  const policy = policyName(desired, wanted.policy);
  return {
    op: 'assign',
    target: targetOf(wanted),
    ifindex: wanted.ifindex,
    index: wanted.policy,
    policy,
    slot,
  };
}

/** Before a switch every attached interface is assigned aside; without one only what drifted. */
export function assignInterfaces(
  desired: State,
  loaded: State,
  needsSwitch: boolean,
): InterfaceAction[] {
  if (needsSwitch) {
    const wanted = byIfindex(desired);
    const leaving = loaded.interfaces
      .filter(({ ifindex }) => !wanted.has(ifindex))
      .map((have) => ({ ...have, policy: 0 }));
    return [...desired.interfaces, ...leaving].map((attachment) =>
      assign(desired, attachment, 'idle'),
    );
  }
  const present = byIfindex(loaded);
  return desired.interfaces
    .filter(({ ifindex, policy }) => (present.get(ifindex)?.policy ?? policy) !== policy)
    .map((attachment) => assign(desired, attachment, 'active'));
}

export function detachInterfaces(desired: State, loaded: State): InterfaceAction[] {
  const wanted = byIfindex(desired);
  return loaded.interfaces
    .filter(({ ifindex }) => !wanted.has(ifindex))
    .map((have) => ({ op: 'detach', target: targetOf(have), ifindex: have.ifindex }));
}
