// Where in the document a mistake of its shape is, and what stands there.

import { quote } from '../base/suggest.js';
import { EXAMPLES } from './schema.gen.js';
import type { MapEntry, TreeNode } from './tree.js';

/** What ajv tells of one mistake. */
export interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** One mistake and where it is. */
export interface Place {
  readonly error: SchemaError;
  readonly path: readonly string[];
  readonly node: TreeNode;
  /** The entry that holds the node, when it stands under a key. */
  readonly entry: MapEntry | undefined;
}
/** The keys of the document that hold lists of policies. */
export function isPolicyList(key: string | undefined): boolean {
  return key === 'policies' || key === 'interfaces';
}

/** The definition of the schema whose keys the map at a path has. */
export function ownerOf(path: readonly string[]): string {
  const [top, , direction, rules, index] = path;
  if (path.length === 0) return '';
  if (top === 'sets') return 'set';
  if (direction === undefined) return top === 'interfaces' ? 'interface' : 'policy';
  return rules !== undefined && index !== undefined ? `${direction}Rule` : direction;
}

/** The last key of a path, list positions left aside. */
export function lastKey(path: readonly string[]): { key: string; depth: number } {
  const depth = path.findLastIndex((part) => !/^\d+$/.test(part));
  return { key: path[depth] ?? '', depth };
}

/** Whether a path ends at an item of a list of values. */
export function isItem(path: readonly string[]): boolean {
  if (isPolicyList(path[0])) return /^\d+$/.test(path.at(-1) ?? '') && path.length !== 2;
  return path.length === 3 && path[2] !== 'file' && path[2] !== 'guard';
}

/** What stands at a place, for messages. */
export function nameOf({ path }: Place): string {
  if (path.length === 0) return 'the document';
  if (path.length === 2 && !isPolicyList(path[0]))
    return `${path[0] === 'sets' ? 'the set' : 'the service'} ${quote(path[1] ?? '')}`;
  if (path.length === 2) return path[0] === 'interfaces' ? 'a policy of interfaces' : 'a policy';
  if (path.length === 5 && path[3] === 'rules') return 'a rule';
  if (isItem(path))
    return `an item of ${path.length === 3 && !isPolicyList(path[0]) ? (path[1] ?? '') : lastKey(path).key}`;
  return path.at(-1) ?? '';
}

/** What could stand at a path, with its key. */
export function exampleOf(path: readonly string[]): string | undefined {
  if (path.length === 0)
    return 'version: 1 and policies: [{name: web, cgroups: [system.slice/nginx.service]}]';
  if (path.length === 2 && path[0] === 'sets') return `${path[1]}: [10.0.0.0/8, "fd00::/8"]`;
  if (path.length === 2 && path[0] === 'services') return `${path[1]}: [80/tcp, 443/tcp]`;
  if (path.length === 3 && isItem(path) && !isPolicyList(path[0]))
    return exampleOf(path.slice(0, 2));
  const { key, depth } = lastKey(path);
  const example = EXAMPLES[`${ownerOf(path.slice(0, depth))}.${key}`];
  return example === undefined ? undefined : `${key}: ${example}`;
}

/** The same as an instruction. */
export function writeExample(path: readonly string[]): string {
  const example = exampleOf(path);
  return example === undefined ? 'see docs/policy.md' : `write, for example, ${example}`;
}
