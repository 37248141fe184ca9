// Which cgroups a policy is about: paths below the cgroup2 mount, with globs.

import { quote } from '../base/suggest.js';

/** A selector in its normal form, or why it is none. */
export type ParsedSelector =
  | { readonly kind: 'selector'; readonly text: string }
  | { readonly kind: 'bad'; readonly message: string; readonly fix: string };

const EXAMPLE = 'write a path below the cgroup2 mount, such as system.slice/nginx.service';

/**
 * Reads a selector: components between slashes; `*` any text and `?` one
 * character within a component; `**` alone, any number of components. All else
 * is literal, also [ and \ (systemd escapes names as `foo\x2dbar`). A slash at
 * either end is dropped.
 */
export function parseSelector(written: string): ParsedSelector {
  const bad = (message: string, fix: string): ParsedSelector => ({ kind: 'bad', message, fix });
  const text = written.replace(/^\//, '').replace(/\/$/, '');
  const found = quote(written);
  if (written === '') return bad('the selector is empty', EXAMPLE);
  if (text === '')
    return bad(
      'the selector / is the root cgroup: a policy there would hold for the whole host',
      'name the cgroups below it; ** selects all of them',
    );
  if (/^sys\/fs\/cgroup(\/|$)/.test(text)) {
    const rest = text.replace(/^sys\/fs\/cgroup\/?(unified\/)?/, '');
    return bad(
      `the selector ${found} begins with the mount; paths are relative to the cgroup2 mount`,
      rest === '' ? EXAMPLE : `write ${rest}`,
    );
  }
  const parts = text.split('/');
  if (parts.includes(''))
    return bad(
      `the selector ${found} has an empty component`,
      `write ${parts.filter((part) => part !== '').join('/')}`,
    );
  if (parts.includes('..') || parts.includes('.'))
    return bad(`the selector ${found} has a component . or ..`, EXAMPLE);
  const mixed = parts.find((part) => part !== '**' && part.includes('**'));
  if (mixed !== undefined)
    return bad(
      `the selector ${found} has ** beside other text`,
      `write ${mixed.replace(/\*+/g, '*')} for one component, or ** alone for any number`,
    );
  const long = parts.find((part) => new TextEncoder().encode(part).length > 255);
  if (long !== undefined)
    return bad(`the selector has a component of more than 255 bytes: ${quote(long)}`, EXAMPLE);
  return { kind: 'selector', text: collapse(parts).join('/') };
}

/** `** / **` means what one `**` means. */
function collapse(parts: readonly string[]): readonly string[] {
  return parts.filter((part, i) => part !== '**' || parts[i - 1] !== '**');
}

/**
 * Whether a normalised selector matches a cgroup. The path is relative to the
 * mount, without a slash at either end. `**` matches no component too, so
 * `user.slice/**` matches user.slice itself. The root ('') never matches.
 */
export function matchesSelector(selector: string, path: string): boolean {
  if (path === '') return false;
  if (!isGlob(selector)) return selector === path;
  return matches(selector.split('/'), path.split('/'), (part) => part === '**', matchesComponent);
}

/** Whether a selector can match more than one path. */
export function isGlob(selector: string): boolean {
  return selector.includes('*') || selector.includes('?');
}

/** Whether a name without slashes matches a pattern of `*` and `?`. */
export function matchesComponent(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  if (!isGlob(pattern)) return pattern === name;
  return matches(
    [...pattern],
    [...name],
    (unit) => unit === '*',
    (unit, other) => unit === '?' || unit === other,
  );
}

/**
 * Whether a pattern with stars matches a sequence. When the rest fails it goes
 * back to the last star only, which is enough and keeps hostile patterns
 * quadratic at worst.
 */
function matches<T>(
  pattern: readonly T[],
  items: readonly T[],
  isStar: (part: T) => boolean,
  isSame: (part: T, item: T) => boolean,
): boolean {
  let p = 0;
  let i = 0;
  let star = -1;
  let retry = 0;
  while (i < items.length) {
    const part = pattern[p];
    if (part !== undefined && isStar(part)) {
      star = p++;
      retry = i;
    } else if (part !== undefined && isSame(part, items[i] as T)) {
      p++;
      i++;
    } else if (star >= 0) {
      p = star + 1;
      i = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.length && isStar(pattern[p] as T)) p++;
  return p === pattern.length;
}

/**
 * Finds the policy that owns a cgroup, by index: the first with a selector that
 * matches it, or -1. Made once for many cgroups: the selectors without a glob
 * cost one look-up together, however many there are.
 */
export function ownerFinder(
  policies: readonly { readonly cgroups: readonly string[] }[],
): (path: string) => number {
  const exact = new Map<string, number>();
  const globs: { readonly selector: string; readonly owner: number }[] = [];
  policies.forEach(({ cgroups }, owner) => {
    for (const selector of cgroups) {
      if (isGlob(selector)) globs.push({ selector, owner });
      else if (!exact.has(selector)) exact.set(selector, owner);
    }
  });
  return (path) => {
    const named = exact.get(path) ?? Infinity;
    const found = globs.find(
      ({ selector, owner }) => owner >= named || matchesSelector(selector, path),
    );
    const owner = Math.min(named, found?.owner ?? Infinity);
    return owner === Infinity ? -1 : owner;
  };
}
