// What is, or ought to be, in force: one type for both, so that they compare.

import type { AttachMode } from '../policy/policy.js';
import type { Capacity } from './tables.js';
import type { Program } from './program.js';

/** All kernel hooks, in attach order. */
export const HOOKS = [
  'sock_create',
  'connect4',
  'connect6',
  'egress',
  'ingress',
  'setsockopt',
  'sock_ops',
] as const;
export type Hook = (typeof HOOKS)[number];

/** What every managed cgroup gets; the rest is for those whose policy accelerates. */
export const BASE_HOOKS = ['sock_create', 'connect4', 'connect6', 'egress', 'ingress'] as const;

/** A loaded set of programs with its tables. */
export interface ProgramSet {
  /** Its folder of pins; '' while it is only desired. */
  readonly folder: string;
  /** sha256 of the program files, its first 16 hex digits. */
  readonly build: string;
  readonly capacity: Capacity;
}

/** A cgroup with our programs on it. */
export interface Attachment {
  /** Kernel id of the cgroup; a cgroup made anew under the same path has another. */
  readonly id: number;
  /** Path relative to the cgroup2 mount; `#ID` when the cgroup is gone. */
  readonly path: string;
  /** Index in Names.policies + 1, 0 = none: what the generation in force gives it. */
  readonly policy: number;
  /** Hooks with a pinned link, in the order of HOOKS. */
  readonly hooks: readonly Hook[];
  /** Those of them whose link still runs programs of an older set. */
  readonly outdated: readonly Hook[];
}

/** The cgroup was removed, and still has sockets or waits for the kernel to let go. */
export function isLingering({ path }: Pick<Attachment, 'path'>): boolean {
  return path.startsWith('#');
}

export type XdpMode = 'native' | 'generic';

/** A network interface with our program on it. */
export interface InterfaceAttachment {
  /** The kernel's number; an interface made anew under the same name has another. */
  readonly ifindex: number;
  readonly name: string;
  /** Index in the policies table, 0 = none. */
  readonly policy: number;
  /** What its policy asks for. */
  readonly attach: AttachMode;
  /** What it got; null while it is only desired. */
  readonly mode: XdpMode | null;
  /** Its link still runs a program of an older set. */
  readonly isOutdated: boolean;
  /** The program of somebody else that holds it, for people; null when it is free or ours. */
  readonly heldBy: string | null;
}

export interface State {
  readonly programs: ProgramSet | null;
  /** Generation number; differs between desired and loaded, never compared. */
  readonly generation: number;
  readonly program: Program | null;
  /** Sorted by path, then id. */
  readonly attachments: readonly Attachment[];
  /** Sorted by name, then ifindex. */
  readonly interfaces: readonly InterfaceAttachment[];
  /** Pins of ours that nothing needs: links of vanished cgroups, older sets. */
  readonly leftovers: readonly string[];
}

export const NOTHING: State = {
  programs: null,
  generation: 0,
  program: null,
  attachments: [],
  interfaces: [],
  leftovers: [],
};

/** A cgroup that exists now. */
export interface Cgroup {
  readonly id: number;
  readonly path: string;
}

/** A network interface of this network namespace that exists now. */
export interface Interface {
  readonly ifindex: number;
  readonly name: string;
  /** The program of somebody else that holds it, for people; null when it is free or ours. */
  readonly heldBy: string | null;
}

export function compareInterfaces(
  a: Pick<Interface, 'ifindex' | 'name'>,
  b: Pick<Interface, 'ifindex' | 'name'>,
): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.ifindex - b.ifindex;
}

export function compareAttachments(a: Cgroup, b: Cgroup): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return a.id - b.id;
}
