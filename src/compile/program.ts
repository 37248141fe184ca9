// The compiled policy: tables for the kernel, and names for people.

import type {
  Action,
  AttachMode,
  DirectionName,
  LogLevel,
  Mode,
  Policy,
} from '../policy/policy.js';
import type { Tables } from './tables.js';

/** One entry of the rules table, in table order, for whoever reads events and counters. */
export interface RuleName {
  /** Index in Names.policies; from their number on, in Names.interfaces. */
  readonly policy: number;
  readonly direction: DirectionName;
  /** rule: written in the file; the others stand for what no rule says. */
  readonly kind: 'rule' | 'default' | 'unparsable' | 'raw';
  /** Index among the rules of its direction; -1 unless kind is rule. */
  readonly index: number;
  /** The name in the file, else the index, `default`, `unparsable` or `raw`. */
  readonly name: string;
  readonly line: number;
  readonly action: Action;
  readonly log: LogLevel;
  readonly summary: string;
  /** Same key = same rule: its counter is kept across generations. */
  readonly key: string;
  /** Index in the counters map. */
  readonly counter: number;
  /** Names of its address lists; null = any. */
  readonly lists: readonly string[] | null;
}

export interface PolicyName {
  readonly name: string;
  readonly line: number;
  readonly mode: Mode;
  readonly cgroups: readonly string[];
  readonly accelerate: boolean;
}

export interface InterfacePolicyName {
  readonly name: string;
  readonly line: number;
  /** Names and globs. */
  readonly interfaces: readonly string[];
  readonly attach: AttachMode;
}

/** Kept in the kernel beside the tables, as JSON. */
export interface Names {
  readonly hash: string;
  readonly origin: string;
  readonly policies: readonly PolicyName[];
  readonly interfaces: readonly InterfacePolicyName[];
  readonly rules: readonly RuleName[];
  /** Address lists by index. */
  readonly lists: readonly string[];
  /** By address class: the lists (indices) that it belongs to; class 0 = none. */
  readonly classes: readonly (readonly number[])[];
}

/**
 * A policy ready to load. `policies` in the tables count from 1 = names.policies[0];
 * those of interfaces follow.
 */
export interface Program {
  readonly text: string;
  readonly names: Names;
  readonly tables: Tables;
}

/** Counter indices in use, by rule key. */
export type CounterIds = ReadonlyMap<string, number>;

export type Compile = (policy: Policy, counters: CounterIds) => Program;

/** The policy that a rule belongs to, as both kinds have it. */
export function policyOfRule(
  names: Pick<Names, 'policies' | 'interfaces'>,
  rule: Pick<RuleName, 'policy'>,
):
  | { readonly kind: 'cgroup' | 'interface'; readonly name: string; readonly mode: Mode }
  | undefined {
  const { policies, interfaces } = names;
  const own = policies[rule.policy];
  if (own !== undefined) return { kind: 'cgroup', name: own.name, mode: own.mode };
  const ofInterface = interfaces[rule.policy - policies.length];
  return ofInterface === undefined
    ? undefined
    : { kind: 'interface', name: ofInterface.name, mode: 'enforce' };
}

/** Index in the policies table of a policy of interfaces, which follow those of cgroups. */
export function interfacePolicyIndex(
  names: { readonly policies: readonly unknown[] },
  index: number,
): number {
  return names.policies.length + 1 + index;
}
