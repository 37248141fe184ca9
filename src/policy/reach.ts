// Rules that can never match, because one rule above them takes everything.

import {
  coversRanges,
  isEmpty,
  NO_ADDRESSES,
  unionRanges,
  type AddressRanges,
} from '../base/ranges.js';
import { coverWords } from '../base/words.js';
import type { Lists } from './lists.js';
import type { Rule } from './policy.js';
import type { Report } from './report.js';
import type { PlacedRule } from './rules.js';

/** Steps of comparing ranges that are spent on one direction; a warning is not worth more. */
const MAX_STEPS = 20_000_000;

/**
 * Warns of each rule that one earlier rule covers whole: the same or wider
 * addresses and services. Pairs are told apart by their outermost addresses
 * first, so that 10,000 rules take well under a second.
 */
export function warnOfUnreachableRules(
  placed: readonly PlacedRule[],
  lists: Lists,
  report: Report,
): void {
  const bounds = boundsOf(placed, lists);
  let steps = 0;
  for (const [i, { rule, at }] of placed.entries()) {
    if (isNothing(rule, lists)) continue;
    for (let j = 0; j < i && steps < MAX_STEPS; j++) {
      if (!mayCover(bounds, j, i)) continue;
      const earlier = (placed[j] as PlacedRule).rule;
      steps += stepsOf(rule, lists);
      if (!covers(earlier, rule, lists)) continue;
      const name = earlier.name === undefined ? `rule ${earlier.index}` : `rule ${earlier.name}`;
      const verb = earlier.action === rule.action ? 'has done the same for' : 'takes';
      report(
        'unreachable-rule',
        at,
        `this rule never matches: ${name} on line ${earlier.line} ${verb} all of it`,
        'move it above that rule, or remove it',
        'warning',
      );
      break;
    }
  }
}

function rangesOfRule(rule: Rule, lists: Lists): AddressRanges | 'any' {
  if (rule.lists === 'any') return 'any';
  return unionRanges(
    rule.lists.map((index) => lists.all[index]?.ranges).filter((ranges) => ranges !== undefined),
  );
}

/** A rule about an empty set file is not there to match yet. */
function isNothing(rule: Rule, lists: Lists): boolean {
  return (
    rule.lists !== 'any' &&
    rule.lists.every((index) => isEmpty(lists.all[index]?.ranges ?? NO_ADDRESSES))
  );
}

function stepsOf(rule: Rule, lists: Lists): number {
  if (rule.lists === 'any') return 1;
  return rule.lists.reduce(
    (sum, index) =>
      sum +
      1 +
      (lists.all[index]?.ranges.v4.length ?? 0) +
      (lists.all[index]?.ranges.v6.length ?? 0),
    1,
  );
}

function covers(outer: Rule, inner: Rule, lists: Lists): boolean {
  if (
    outer.services !== 'any' &&
    (inner.services === 'any' || !coverWords(outer.services, inner.services, 1))
  )
    return false;
  if (outer.lists === 'any') return true;
  if (inner.lists === 'any') return false;
  const wide = outer.lists;
  if (inner.lists.every((list) => wide.includes(list))) return true;
  const [a, b] = [rangesOfRule(outer, lists), rangesOfRule(inner, lists)];
  return a !== 'any' && b !== 'any' && coversRanges(a, b);
}

/** Six numbers a rule: first and last of service points, of IPv4, and of the top words of IPv6. */
function boundsOf(placed: readonly PlacedRule[], lists: Lists): Float64Array {
  const bounds = new Float64Array(placed.length * 6);
  for (const [i, { rule }] of placed.entries()) {
    const at = i * 6;
    bounds.set([Infinity, -Infinity, Infinity, -Infinity, Infinity, -Infinity], at);
    if (rule.services === 'any') widen(bounds, at, -1, Infinity);
    else widen(bounds, at, rule.services[0] ?? 0, rule.services.at(-1) ?? 0);
    if (rule.lists === 'any') {
      widen(bounds, at + 2, -1, Infinity);
      widen(bounds, at + 4, -1, Infinity);
      continue;
    }
    for (const index of rule.lists) {
      const { v4, v6 } = lists.all[index]?.ranges ?? NO_ADDRESSES;
      if (v4.length > 0) widen(bounds, at + 2, v4[0] ?? 0, v4.at(-1) ?? 0);
      if (v6.length > 0) widen(bounds, at + 4, v6[0] ?? 0, v6.at(-4) ?? 0);
    }
  }
  return bounds;
}

function widen(bounds: Float64Array, at: number, first: number, last: number): void {
  bounds[at] = Math.min(bounds[at] ?? first, first);
  bounds[at + 1] = Math.max(bounds[at + 1] ?? last, last);
}

function mayCover(bounds: Float64Array, outer: number, inner: number): boolean {
  for (let k = 0; k < 6; k += 2) {
    if ((bounds[inner * 6 + k] as number) < (bounds[outer * 6 + k] as number)) return false;
    if ((bounds[inner * 6 + k + 1] as number) > (bounds[outer * 6 + k + 1] as number)) return false;
  }
  return true;
}
