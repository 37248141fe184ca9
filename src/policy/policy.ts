// The resolved policy: what the text means, with every name replaced.

import type { AddressRanges } from '../base/ranges.js';

export type Action = 'allow' | 'drop' | 'reject';
export type LogLevel = 'none' | 'denied' | 'new' | 'all';
export type Mode = 'enforce' | 'audit';
export type DirectionName = 'egress' | 'ingress';
/** How a program may hang on an interface; auto: native, else generic. */
export type AttachMode = 'auto' | 'native' | 'generic';

/** A whole policy document, valid and self-contained. */
export interface Policy {
  /** The YAML text as read. */
  readonly text: string;
  /** Where the text came from: an absolute path. */
  readonly origin: string;
  /** sha256 in hex over the text and the content of every set file it names. */
  readonly hash: string;
  /** Every distinct address list that a rule names; rules refer by index. */
  readonly lists: readonly AddressList[];
  readonly policies: readonly CgroupPolicy[];
  readonly interfaces: readonly InterfacePolicy[];
}

export interface AddressList {
  /** Set name, or for an inline list the place: `web egress#2`. */
  readonly name: string;
  readonly ranges: AddressRanges;
}

export interface CgroupPolicy {
  readonly name: string;
  readonly line: number;
  /** Selectors in order, as written but normalised: no slash at either end. */
  readonly cgroups: readonly string[];
  readonly mode: Mode;
  readonly log: LogLevel;
  readonly raw: 'allow' | 'deny';
  /** Local TCP between cgroups whose policies accelerate bypasses the TCP stack. */
  readonly accelerate: boolean;
  readonly egress: Direction;
  readonly ingress: Direction;
}

/** Its rules keep no state; the remote address is the source. */
export interface InterfacePolicy {
  /** Unique among the policies of interfaces; a cgroup policy may have the same name. */
  readonly name: string;
  readonly line: number;
  /** Names and globs in order. */
  readonly interfaces: readonly string[];
  readonly attach: AttachMode;
  readonly log: LogLevel;
  readonly ingress: Direction;
}

/** A direction that the text leaves out allows everything (`isDeclared` false). */
export interface Direction {
  readonly isDeclared: boolean;
  readonly default: Action;
  /** Line of the `default` key; of the policy where the direction is left out. */
  readonly defaultLine: number;
  readonly rules: readonly Rule[];
}

export interface Rule {
  readonly name?: string;
  /** Position among the rules of its direction, from 0. */
  readonly index: number;
  readonly line: number;
  readonly action: Action;
  /** The rule's own level, else the policy's. */
  readonly log: LogLevel;
  /** Indices in Policy.lists; the rule matches an address in any of them. */
  readonly lists: readonly number[] | 'any';
  /**
   * Pairs [first, last], inclusive, sorted and disjoint, on the axis of service
   * points (bpf/abi.h); 'any' is everything, also what has no ports.
   */
  readonly services: Uint32Array | 'any';
  /** One line for people, such as `allow to corp ports 5432/tcp`. */
  readonly summary: string;
}
