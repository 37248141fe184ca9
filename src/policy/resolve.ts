// Tree to policy: every name replaced by what it stands for.

import { createHash } from 'node:crypto';
import type { Diagnostic } from '../base/error.js';
import { lineAt } from '../base/source.js';
import { quote } from '../base/suggest.js';
import { warnOfDangerousSets } from './danger.js';
import { resolveInterfaces } from './interfaces.js';
import { emptyLists } from './lists.js';
import type { CgroupPolicy, Policy } from './policy.js';
import { warnOfUnreachableRules } from './reach.js';
import { collect, hasErrors, sortDiagnostics } from './report.js';
import { logOf, resolveDirection, type PlacedDirection, type Scope } from './rules.js';
import { resolveSelectors, warnOfShadowedSelectors, type PlacedSelector } from './selectors.js';
import { resolveServices } from './services.js';
import { resolveSets, setFilesOf, type SetFiles } from './sets.js';
import { child, isTrue, itemsOf, textOf, type PolicyTree, type TreeNode } from './tree.js';

/** What the meaning of a policy may depend on beside its text. */
export interface Host {
  /** This host's own addresses as text. */
  readonly addresses: readonly string[];
}

export interface ResolveResult {
  /** Absent when there is an error among the diagnostics. */
  readonly policy?: Policy;
  readonly diagnostics: readonly Diagnostic[];
}

/** A policy with the places that warnings need. */
export interface PlacedPolicy {
  readonly policy: CgroupPolicy;
  readonly selectors: readonly PlacedSelector[];
  readonly egress: PlacedDirection;
  readonly ingress: PlacedDirection;
}

/**
 * Replaces names, sets and defaults, and reports what a schema cannot say. A
 * tree that the schema refuses is resolved as far as it goes, so that one run
 * shows every mistake; what validateTree reports is not reported again. Pure.
 */
export function resolvePolicy(
  tree: PolicyTree,
  files: SetFiles,
  host: Host = { addresses: [] },
): ResolveResult {
  const { report, diagnostics } = collect(tree.source);
  const sets = resolveSets(tree, files, report, (found) => void diagnostics.push(...found));
  const services = resolveServices(tree, report);
  const scope: Scope = { tree, sets, services, lists: emptyLists(), report };
  const taken = new Map<string, number>();
  const placed = itemsOf(child(tree.root, 'policies')).map((node) =>
    resolveOne(scope, node, taken),
  );
  warnOfShadowedSelectors(placed, report);
  const ofInterfaces = resolveInterfaces(scope);
  const directions = [
    ...placed.flatMap(({ egress, ingress }) => [egress, ingress]),
    ...ofInterfaces.map(({ ingress }) => ingress),
  ];
  for (const { rules } of directions) warnOfUnreachableRules(rules, scope.lists, report);
  warnOfDangerousSets(
    directions.flatMap(({ rules }) => rules),
    scope.lists,
    host,
    report,
  );
  const sorted = sortDiagnostics(diagnostics, tree.source.file);
  if (hasErrors(sorted)) return { diagnostics: sorted };
  const { text, file } = tree.source;
  return {
    policy: {
      text,
      origin: file,
      hash: hashOf(tree, files),
      lists: scope.lists.all,
      policies: placed.map(({ policy }) => policy),
      interfaces: ofInterfaces.map(({ policy }) => policy),
    },
    diagnostics: sorted,
  };
}

function hashOf(tree: PolicyTree, files: SetFiles): string {
  const hash = createHash('sha256').update(tree.source.text);
  for (const { path } of setFilesOf(tree)) {
    const file = files.get(path);
    hash.update(`\0${file?.kind === 'read' ? file.sha256 : ''}`);
  }
  return hash.digest('hex');
}

function resolveOne(scope: Scope, node: TreeNode, taken: Map<string, number>): PlacedPolicy {
  const name = textOf(child(node, 'name')) ?? '';
  checkName(scope, node, name, taken);
  const selectors = resolveSelectors(child(node, 'cgroups'), scope.report);
  const log = logOf(child(node, 'log'), 'denied');
  const egress = resolveDirection(scope, node, 'egress', name, log);
  const ingress = resolveDirection(scope, node, 'ingress', name, log);
  const raw =
    textOf(child(node, 'raw')) ?? (egress.direction.default === 'allow' ? 'allow' : 'deny');
  const policy: CgroupPolicy = {
    name,
    line: lineAt(scope.tree.source, node.start),
    cgroups: selectors.map((selector) => selector.text),
    mode: textOf(child(node, 'mode')) === 'audit' ? 'audit' : 'enforce',
    log,
    raw: raw === 'deny' ? 'deny' : 'allow',
    accelerate: isTrue(child(node, 'accelerate')),
    egress: egress.direction,
    ingress: ingress.direction,
  };
  return { policy, selectors, egress, ingress };
}

function checkName(scope: Scope, node: TreeNode, name: string, taken: Map<string, number>): void {
  const at = child(node, 'name');
  if (at === undefined || name === '') return;
  const line = taken.get(name);
  if (line === undefined) taken.set(name, lineAt(scope.tree.source, at.start));
  else
    scope.report(
      'duplicate-name',
      at,
      `a policy is named ${quote(name)} already, on line ${line}`,
      'choose another name',
    );
}
