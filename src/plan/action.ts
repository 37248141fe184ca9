// What apply does, as plain data: the very list that diff prints.

import type { Hook, ProgramSet, XdpMode } from '../compile/state.js';
import type { AttachMode } from '../policy/policy.js';
import type { Change } from './changes.js';

/** Why programs are loaded anew. */
export type LoadReason =
  'first start' | 'programs changed' | 'tables must grow' | 'a policy accelerates';

/** Which slot an assignment goes to: beside the switch, or in force at once. */
export type Slot = 'idle' | 'active';

/** What is done to one network interface; its target is `interface NAME`. */
export type InterfaceAction =
  | {
      readonly op: 'attach';
      readonly target: string;
      readonly ifindex: number;
      readonly policy: string;
      readonly attach: AttachMode;
      /** The mode in which it is attached and may not stay; null: it is not attached. */
      readonly replaces: XdpMode | null;
      /** The program of somebody else that is in the way. */
      readonly heldBy: string | null;
    }
  | { readonly op: 'update'; readonly target: string; readonly ifindex: number }
  | {
      readonly op: 'assign';
      readonly target: string;
      readonly ifindex: number;
      /** Index in the policies table, 0 = none. */
      readonly index: number;
      readonly policy: string | null;
      readonly slot: Slot;
    }
  | { readonly op: 'detach'; readonly target: string; readonly ifindex: number };

/**
 * Actions run in the order of the list. Only `switch` changes what packets meet,
 * and `assign` to the active slot, for one cgroup or interface that was not
 * covered before.
 */
export type Action =
  | InterfaceAction
  | {
      readonly op: 'load';
      readonly target: string;
      readonly reason: LoadReason;
      readonly set: ProgramSet;
    }
  | {
      readonly op: 'update';
      readonly target: string;
      readonly id: number;
      readonly hooks: readonly Hook[];
    }
  | {
      readonly op: 'attach';
      readonly target: string;
      readonly id: number;
      readonly policy: string;
      readonly hooks: readonly Hook[];
    }
  | { readonly op: 'fill'; readonly target: string; readonly changes: readonly Change[] }
  | {
      readonly op: 'assign';
      readonly target: string;
      readonly id: number;
      /** Index in the policies table, 0 = none. */
      readonly index: number;
      readonly policy: string | null;
      readonly slot: Slot;
    }
  | { readonly op: 'switch'; readonly target: string; readonly from: number; readonly to: number }
  | {
      readonly op: 'detach';
      readonly target: string;
      readonly id: number;
      readonly hooks: readonly Hook[];
    }
  | { readonly op: 'sweep'; readonly target: string };

export function isInterfaceAction(action: Action): action is InterfaceAction {
  return 'ifindex' in action;
}

export interface Summary {
  readonly attach: number;
  readonly detach: number;
  readonly rules: { readonly add: number; readonly remove: number; readonly change: number };
  readonly addresses: { readonly add: number; readonly remove: number };
}

export interface Plan {
  readonly inStep: boolean;
  readonly policyHash: string | null;
  readonly loadedHash: string | null;
  readonly actions: readonly Action[];
  readonly summary: Summary;
}
