// The document as a tree with positions: what parsing gives and the rest reads.

import { quote } from '../base/suggest.js';
import type { Source, Span } from '../base/source.js';

export type Scalar = string | number | boolean | null;

export interface ScalarNode extends Span {
  readonly kind: 'scalar';
  readonly value: Scalar;
  /** A plain scalar as written (`0x50`), a quoted one without quotes. */
  readonly source: string;
}

export interface ListNode extends Span {
  readonly kind: 'list';
  readonly items: readonly TreeNode[];
}

export interface MapEntry {
  readonly key: string;
  /** Where the key stands. */
  readonly at: Span;
  readonly value: TreeNode;
}

export interface MapNode extends Span {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
}

/** A node behind an alias is the very node of the anchor: same object, same position. */
export type TreeNode = ScalarNode | ListNode | MapNode;

/** A document that is proper YAML; whether it is a policy is for validate and resolve. */
export interface PolicyTree {
  readonly source: Source;
  readonly root: TreeNode;
}

/** A value for the validator: plain objects without a prototype. */
export function valueOf(node: TreeNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(valueOf);
  const value = Object.create(null) as Record<string, unknown>;
  for (const entry of node.entries.values()) value[entry.key] = valueOf(entry.value);
  return value;
}

/** The child under a key, if the node is a map that has it. */
export function child(node: TreeNode | undefined, key: string): TreeNode | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.value : undefined;
}

/** The entries of a map, nothing of anything else. */
export function entriesOf(node: TreeNode | undefined): readonly MapEntry[] {
  return node?.kind === 'map' ? [...node.entries.values()] : [];
}

/** The items of a list, nothing of anything else. */
export function itemsOf(node: TreeNode | undefined): readonly TreeNode[] {
  return node?.kind === 'list' ? node.items : [];
}

/** The text of a node that is text. */
export function textOf(node: TreeNode | undefined): string | undefined {
  return node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
}

/** Whether a node is the word `true`. */
export function isTrue(node: TreeNode | undefined): boolean {
  return node?.kind === 'scalar' && node.value === true;
}

/** What a node is, for messages: `the number 5`, `a list`. */
export function describe(node: TreeNode): string {
  if (node.kind === 'list') return 'a list';
  if (node.kind === 'map') return 'keys and values';
  if (node.value === null) return 'nothing';
  if (typeof node.value === 'string') return `the text ${quote(node.value)}`;
  return typeof node.value === 'number' ? `the number ${node.source}` : String(node.value);
}
