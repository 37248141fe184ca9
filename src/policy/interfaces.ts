// Which network interfaces a policy is about: names, with globs.

import { lineAt } from '../base/source.js';
import { quote } from '../base/suggest.js';
import type { AttachMode, InterfacePolicy } from './policy.js';
import type { Report } from './report.js';
import { logOf, resolveDirection, type PlacedDirection, type Scope } from './rules.js';
import { isGlob, matchesComponent } from './selector.js';
import { warnOfShadowedSelectors, type PlacedSelector } from './selectors.js';
import { child, itemsOf, textOf, type TreeNode } from './tree.js';

/** The kernel's limit, without the zero at the end. */
const MAX_NAME_BYTES = 15;
const EXAMPLE = 'write the name of an interface, such as eth0, or a glob such as "veth*"';

export interface PlacedInterfacePolicy {
  readonly policy: InterfacePolicy;
  readonly selectors: readonly PlacedSelector[];
  readonly ingress: PlacedDirection;
}

/** The document's policies of interfaces; their names are unique among themselves. */
export function resolveInterfaces(scope: Scope): readonly PlacedInterfacePolicy[] {
  const taken = new Map<string, number>();
  const placed = itemsOf(child(scope.tree.root, 'interfaces')).map((node) =>
    resolveOne(scope, node, taken),
  );
  warnOfShadowedSelectors(placed, scope.report);
  return placed;
}

function resolveOne(
  scope: Scope,
  node: TreeNode,
  taken: Map<string, number>,
): PlacedInterfacePolicy {
  const name = textOf(child(node, 'name')) ?? '';
  checkName(scope, child(node, 'name'), taken);
  const selectors = readNames(child(node, 'interfaces'), scope.report);
  const log = logOf(child(node, 'log'), 'denied');
  // A cgroup policy may have the same name: the word keeps their rules apart.
  const ingress = resolveDirection(scope, node, 'ingress', `interface ${name}`, log);
  const policy: InterfacePolicy = {
    name,
    line: lineAt(scope.tree.source, node.start),
    interfaces: selectors.map(({ text }) => text),
    attach: attachOf(child(node, 'attach')),
    log,
    ingress: ingress.direction,
  };
  return { policy, selectors, ingress };
}

function attachOf(node: TreeNode | undefined): AttachMode {
  const text = textOf(node);
  return text === 'native' || text === 'generic' ? text : 'auto';
}

function checkName(scope: Scope, at: TreeNode | undefined, taken: Map<string, number>): void {
  const name = textOf(at);
  if (at === undefined || name === undefined || name === '') return;
  const line = taken.get(name);
  if (line === undefined) taken.set(name, lineAt(scope.tree.source, at.start));
  else
    scope.report(
      'duplicate-name',
      at,
      `a policy of interfaces is named ${quote(name)} already, on line ${line}`,
      'choose another name',
    );
}

/** Names that no interface can have are reported and left out. */
function readNames(node: TreeNode | undefined, report: Report): readonly PlacedSelector[] {
  return itemsOf(node).flatMap((item) => {
    const text = textOf(item);
    if (text === undefined) return [];
    const trouble = troubleWith(text);
    if (trouble === undefined) return [{ text, at: item }];
    report('selector', item, trouble, EXAMPLE);
    return [];
  });
}

function troubleWith(text: string): string | undefined {
  if (text === '') return 'the name of the interface is empty';
  if (text === '.' || text === '..' || /[/:\s]/.test(text))
    return `no interface can be named ${quote(text)}: a name has no slash, colon or space`;
  const bytes = new TextEncoder().encode(isGlob(text) ? text.replaceAll('*', '') : text).length;
  return bytes > MAX_NAME_BYTES
    ? `no interface can be named ${quote(text)}: a name has at most ${MAX_NAME_BYTES} bytes`
    : undefined;
}

/** Finds the policy of interfaces that owns an interface, by index: the first that names it, or -1. */
export function interfaceOwner(
  policies: readonly { readonly interfaces: readonly string[] }[],
  name: string,
): number {
  return policies.findIndex(({ interfaces }) =>
    interfaces.some((selector) => matchesComponent(selector, name)),
  );
}
