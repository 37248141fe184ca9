// One direction of a policy: its default and its rules, names replaced.

import { lineAt, type Span } from '../base/source.js';
import { rangesOf } from '../base/ranges.js';
import type { Prefix } from '../base/address.js';
import { nearest, quote } from '../base/suggest.js';
import type { Lists } from './lists.js';
import type { Points } from './ports.js';
import type { Action, Direction, DirectionName, LogLevel, Rule } from './policy.js';
import { PROTOCOLS } from './protocols.js';
import type { Report } from './report.js';
import { mergePoints, readPorts, type NamedService } from './services.js';
import { LOCALHOST, readPrefix, type NamedSet } from './sets.js';
import { child, itemsOf, textOf, type PolicyTree, type TreeNode } from './tree.js';

/** What rules are resolved against. */
export interface Scope {
  readonly tree: PolicyTree;
  readonly sets: ReadonlyMap<string, NamedSet>;
  readonly services: ReadonlyMap<string, NamedService>;
  readonly lists: Lists;
  readonly report: Report;
}

/** A rule and where it stands; the place is for warnings that come later. */
export interface PlacedRule {
  readonly rule: Rule;
  readonly at: Span;
}

export interface PlacedDirection {
  readonly direction: Direction;
  /** Rules without mistakes. */
  readonly rules: readonly PlacedRule[];
}

/** Resolves a direction; one that is left out allows everything. */
export function resolveDirection(
  scope: Scope,
  policy: TreeNode,
  name: DirectionName,
  policyName: string,
  log: LogLevel,
): PlacedDirection {
  const node = child(policy, name);
  const fallback = child(node, 'default');
  const action = isAction(textOf(fallback)) ? (textOf(fallback) as Action) : 'allow';
  const taken = new Map<string, number>();
  const rules: PlacedRule[] = [];
  for (const [index, item] of itemsOf(child(node, 'rules')).entries()) {
    checkRuleName(scope, item, taken);
    const rule = resolveRule(
      scope,
      item,
      index,
      `${policyName} ${name}`,
      name === 'egress' ? 'to' : 'from',
      log,
    );
    if (rule !== undefined) rules.push({ rule, at: item });
  }
  const defaultLine = lineAt(scope.tree.source, (fallback ?? policy).start);
  const direction = {
    isDeclared: node !== undefined,
    default: action,
    defaultLine,
    rules: rules.map((placed) => placed.rule),
  };
  return { direction, rules };
}

function isAction(text: string | undefined): text is Action {
  return text === 'allow' || text === 'drop' || text === 'reject';
}

const RESERVED_RULES = new Set(['default', 'unparsable', 'raw']);

function checkRuleName(scope: Scope, item: TreeNode, taken: Map<string, number>): void {
  const node = child(item, 'name');
  const name = textOf(node);
  if (node === undefined || name === undefined) return;
  if (/^[0-9]+$/.test(name)) {
    scope.report(
      'reserved-name',
      node,
      `the name ${quote(name)} is a number, as rules without a name have`,
      'choose a name with a letter in it',
    );
  } else if (RESERVED_RULES.has(name)) {
    scope.report(
      'reserved-name',
      node,
      `the name ${name} is reserved: it stands for what no rule decides`,
      'choose another name',
    );
  }
  const line = taken.get(name);
  if (line !== undefined)
    scope.report(
      'duplicate-name',
      node,
      `a rule of this direction is named ${quote(name)} already, on line ${line}`,
      'choose another name',
    );
  else taken.set(name, lineAt(scope.tree.source, node.start));
}

function resolveRule(
  scope: Scope,
  item: TreeNode,
  index: number,
  place: string,
  remote: 'to' | 'from',
  policyLog: LogLevel,
): Rule | undefined {
  const action = textOf(child(item, 'action'));
  const addresses = child(item, remote);
  const ports = child(item, 'ports');
  const lists = resolveAddresses(scope, addresses, `${place}#${index}`);
  const services = resolvePorts(scope, ports);
  if (!isAction(action) || lists === undefined || services === undefined) return undefined;
  const name = textOf(child(item, 'name'));
  return {
    ...(name === undefined ? {} : { name }),
    index,
    line: lineAt(scope.tree.source, item.start),
    action,
    log: logOf(child(item, 'log'), policyLog),
    lists,
    services,
    summary: summaryOf(action, remote, addresses, ports),
  };
}

/** The log level of a node, else the one it inherits. */
export function logOf(node: TreeNode | undefined, inherited: LogLevel): LogLevel {
  const text = textOf(node);
  return text === 'none' || text === 'denied' || text === 'new' || text === 'all'
    ? text
    : inherited;
}

function scalars(node: TreeNode | undefined): readonly TreeNode[] {
  return node?.kind === 'scalar' ? [node] : itemsOf(node);
}

function summaryOf(
  action: Action,
  remote: 'to' | 'from',
  addresses: TreeNode | undefined,
  ports: TreeNode | undefined,
): string {
  const words = (node: TreeNode | undefined): string => {
    const all = scalars(node).map((item) => (item.kind === 'scalar' ? item.source : ''));
    return all.length > 6
      ? `${all.slice(0, 5).join(', ')} and ${all.length - 5} more`
      : all.join(', ');
  };
  return `${action} ${remote} ${words(addresses)}${ports === undefined ? '' : ` ports ${words(ports)}`}`;
}

/** Indices of the address lists, 'any', or undefined when there was a mistake. */
function resolveAddresses(
  scope: Scope,
  node: TreeNode | undefined,
  place: string,
): readonly number[] | 'any' | undefined {
  const items = scalars(node);
  const named = new Set<NamedSet>();
  const literals: Prefix[] = [];
  let isAny = false;
  let isWhole = items.length > 0;
  for (const item of items) {
    const text = textOf(item);
    if (text === undefined) isWhole = false;
    else if (text === 'any') isAny = true;
    else if (text === 'localhost') named.add(LOCALHOST);
    else {
      const found = scope.sets.get(text) ?? resolveLiteral(scope, text, item);
      if (found === undefined || ('isBroken' in found && found.isBroken)) isWhole = false;
      else if ('ranges' in found) named.add(found);
      else literals.push(found);
    }
  }
  if (!isWhole) return undefined;
  if (isAny) return 'any';
  const lists = [...named].map((set) => scope.lists.ofSet(set));
  if (literals.length > 0) lists.push(scope.lists.ofLiterals(place, rangesOf(literals)));
  return lists;
}

function resolveLiteral(scope: Scope, text: string, at: TreeNode): Prefix | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text)) return readPrefix(text, at, scope.report, '');
  const names = [...scope.sets.keys(), 'any', 'localhost'];
  const near = SYNONYMS[text.toLowerCase()] ?? nearest(text, names);
  const known =
    scope.sets.size === 0
      ? 'define it in sets, or write an address, any or localhost'
      : `known sets: ${listSome([...scope.sets.keys()])}; built in: any, localhost`;
  const fix =
    near !== undefined
      ? `did you mean ${near}?`
      : scope.services.has(text)
        ? `${text} is a service: write it in ports`
        : text.includes('.')
          ? 'host names are not looked up: write addresses, or a set of them'
          : known;
  scope.report('unknown-set', at, `there is no set ${quote(text)}`, fix);
  return undefined;
}

const SYNONYMS: Readonly<Record<string, string>> = {
  all: 'any',
  everything: 'any',
  anywhere: 'any',
  world: 'any',
  loopback: 'localhost',
  lo: 'localhost',
};

function listSome(words: readonly string[]): string {
  return words.length > 8
    ? `${words.slice(0, 8).join(', ')} and ${words.length - 8} more`
    : words.join(', ');
}

/** Canonical service points, 'any', or undefined when there was a mistake. */
function resolvePorts(scope: Scope, node: TreeNode | undefined): Uint32Array | 'any' | undefined {
  if (node === undefined) return 'any';
  const suggest = (name: string): string => suggestService(scope, name);
  const parts = itemsOf(node).map((item) => readPorts(item, scope.services, scope.report, suggest));
  if (parts.length === 0 || parts.includes(undefined)) return undefined;
  return mergePoints(parts as Points[]);
}

function suggestService(scope: Scope, name: string): string {
  const near = nearest(name, [...scope.services.keys(), ...Object.keys(PROTOCOLS)]);
  if (near !== undefined) return `did you mean ${near}?`;
  if (scope.sets.has(name)) return `${name} is a set: write it in to or from`;
  return scope.services.size === 0
    ? 'define it in services, or write ports such as 443/tcp'
    : `known services: ${listSome([...scope.services.keys()])}`;
}
