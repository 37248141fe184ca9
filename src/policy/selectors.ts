// The cgroups of all policies: read, and those that come too late.

import type { Span } from '../base/source.js';
import { quote } from '../base/suggest.js';
import type { Report } from './report.js';
import { isGlob, matchesSelector, parseSelector } from './selector.js';
import { itemsOf, textOf, type TreeNode } from './tree.js';

export interface PlacedSelector {
  readonly text: string;
  readonly at: Span;
}

/** The selectors of a list, normalised; mistakes are reported and left out. */
export function resolveSelectors(
  node: TreeNode | undefined,
  report: Report,
): readonly PlacedSelector[] {
  return itemsOf(node).flatMap((item) => {
    const written = textOf(item);
    const selector = written === undefined ? undefined : parseSelector(written);
    if (selector?.kind === 'bad') report('selector', item, selector.message, selector.fix);
    return selector?.kind === 'selector' ? [{ text: selector.text, at: item }] : [];
  });
}

interface Owner {
  readonly policy: { readonly name: string };
  readonly selectors: readonly PlacedSelector[];
}

/** So many globs are compared with each later selector, which keeps this linear. */
const MAX_GLOBS = 200;

/** Warns of selectors whose every cgroup an earlier selector has taken: the same text, or a path that an earlier glob matches. */
export function warnOfShadowedSelectors(policies: readonly Owner[], report: Report): void {
  const texts = new Map<string, string>();
  const globs: { text: string; name: string }[] = [];
  for (const { policy, selectors } of policies) {
    for (const { text, at } of selectors) {
      const glob = isGlob(text)
        ? undefined
        : globs.find((earlier) => matchesSelector(earlier.text, text));
      const owner = texts.get(text) ?? glob?.name;
      if (owner === undefined) {
        texts.set(text, policy.name);
        if (isGlob(text) && globs.length < MAX_GLOBS) globs.push({ text, name: policy.name });
        continue;
      }
      const by = glob === undefined ? 'has the same selector' : `has ${quote(glob.text)}`;
      const who = owner === policy.name ? 'this policy' : `the policy ${quote(owner)} above`;
      const fix =
        owner === policy.name
          ? 'remove it'
          : 'remove it, or move this policy above the other: the first that matches decides';
      report(
        'shadowed-selector',
        at,
        `the selector ${quote(text)} selects nothing: ${who} ${by}${owner === policy.name ? ' already' : ''}`,
        fix,
        'warning',
      );
    }
  }
}
