// YAML nodes to our tree: keys checked, aliases followed, in one linear pass.

import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type Scalar as YamlScalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { lineAt, type Source, type Span } from '../base/source.js';
import { quote } from '../base/suggest.js';
import type { Report } from './report.js';
import type { MapEntry, Scalar, TreeNode } from './tree.js';

/** Most nodes once every alias is replaced by what it stands for. */
export const MAX_NODES = 200_000;

interface Built {
  readonly node: TreeNode;
  /** Nodes in it, aliases replaced. */
  readonly size: number;
}

interface Builder {
  readonly source: Source;
  readonly report: Report;
  readonly anchors: Map<string, Built | 'open'>;
  /** Something is left out of the tree: what follows from that is no mistake of its own. */
  isBroken: boolean;
}

/** The tree of a document without syntax errors; undefined when a mistake leaves a part of it unknown. Pure. */
export function buildTree(contents: Node, source: Source, report: Report): TreeNode | undefined {
  const builder: Builder = { source, report, anchors: new Map(), isBroken: false };
  const built = build(builder, contents);
  return builder.isBroken ? undefined : built?.node;
}

function build(builder: Builder, node: Node): Built | undefined {
  if (isAlias(node)) return follow(builder, node.source, spanOf(node));
  const anchor = 'anchor' in node && typeof node.anchor === 'string' ? node.anchor : undefined;
  if (anchor !== undefined) builder.anchors.set(anchor, 'open');
  const built = isMap(node)
    ? buildMap(builder, node)
    : isSeq(node)
      ? buildList(builder, node)
      : buildScalar(node);
  if (anchor !== undefined) builder.anchors.set(anchor, built);
  return built;
}

function follow(builder: Builder, name: string, at: Span): Built | undefined {
  const built = builder.anchors.get(name);
  if (built === 'open') {
    builder.report(
      'yaml-alias',
      at,
      `the alias *${name} stands inside its own anchor`,
      'write the values out',
    );
  } else if (built === undefined) {
    builder.report(
      'yaml-alias',
      at,
      `there is no anchor &${name} above this alias`,
      'define the anchor before it is used; quote the text if * was meant as text',
    );
  } else {
    return built;
  }
  builder.isBroken = true;
  return undefined;
}

function spanOf(node: Node): Span {
  const [start, end] = node.range ?? [0, 0];
  return { start, end };
}

function buildScalar(node: YamlScalar): Built {
  const value = node.value as Scalar;
  return {
    node: { kind: 'scalar', value, source: node.source ?? String(value), ...spanOf(node) },
    size: 1,
  };
}

function buildList(builder: Builder, node: YAMLSeq): Built {
  const items: TreeNode[] = [];
  let size = 1;
  for (const item of node.items) {
    const built = build(builder, item as Node);
    if (built === undefined) continue;
    size = grow(builder, size, built, spanOf(item as Node));
    if (size <= MAX_NODES) items.push(built.node);
  }
  return { node: { kind: 'list', items, ...spanOf(node) }, size };
}

function buildMap(builder: Builder, node: YAMLMap): Built {
  const entries = new Map<string, MapEntry>();
  let size = 1;
  for (const pair of node.items as Pair<Node, Node | null>[]) {
    const at = spanOf(pair.key);
    const key = keyOf(builder, pair.key, at);
    const built = pair.value === null ? nothing(at.end) : build(builder, pair.value);
    if (key === undefined || built === undefined || isDuplicate(builder, entries, key, at))
      continue;
    size = grow(builder, size, built, pair.value === null ? at : spanOf(pair.value));
    if (size <= MAX_NODES) entries.set(key, { key, at, value: built.node });
  }
  return { node: { kind: 'map', entries, ...spanOf(node) }, size };
}

function nothing(offset: number): Built {
  return { node: { kind: 'scalar', value: null, source: '', start: offset, end: offset }, size: 1 };
}

/** The new size; the first step over the limit is reported, where it was taken. */
function grow(builder: Builder, size: number, built: Built, at: Span): number {
  const sum = size + built.size;
  if (sum > MAX_NODES && size <= MAX_NODES && built.size <= MAX_NODES) {
    builder.report(
      'yaml-alias',
      at,
      `the aliases stand for more than ${MAX_NODES} values`,
      'name the addresses in sets and the ports in services instead',
    );
    builder.isBroken = true;
  }
  return sum;
}

function keyOf(builder: Builder, node: Node, at: Span): string | undefined {
  if (!isScalar(node)) {
    builder.report(
      'wrong-type',
      at,
      'a key must be plain text',
      'write KEY: VALUE; quote an address that ends in a colon',
    );
    builder.isBroken = true;
    return undefined;
  }
  const key = typeof node.value === 'string' ? node.value : (node.source ?? '');
  if (key === '<<') {
    builder.report(
      'yaml-merge',
      at,
      'merge keys (<<) are not allowed: YAML 1.2 has none',
      'write the keys out',
    );
    builder.isBroken = true;
    return undefined;
  }
  if (key === '__proto__') {
    builder.report('forbidden-key', at, 'the key __proto__ is not allowed', 'choose another name');
    return undefined;
  }
  return key;
}

function isDuplicate(
  builder: Builder,
  entries: ReadonlyMap<string, MapEntry>,
  key: string,
  at: Span,
): boolean {
  const first = entries.get(key);
  if (first === undefined) return false;
  const line = lineAt(builder.source, first.at.start);
  builder.report(
    'duplicate-key',
    at,
    `the key ${quote(key)} is on line ${line} already`,
    'keep one of the two',
  );
  return true;
}
