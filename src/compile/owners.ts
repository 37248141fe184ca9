// Which policy owns which cgroup, and which cgroups need programs of their own.

import { ownerFinder } from '../policy/selector.js';
import type { Cgroup } from './state.js';

export interface OwnedCgroup extends Cgroup {
  /** Index in the policies table: 1 is the first policy. */
  readonly policy: number;
  /**
   * The ancestor whose programs already judge this cgroup by the same policy; null
   * when it needs its own. Attached twice, every packet would be judged, counted
   * and logged twice.
   */
  readonly via: string | null;
}

/** The cgroups that a policy selects; the first policy that does owns it. */
export function ownedCgroups(
  policies: readonly { readonly cgroups: readonly string[] }[],
  cgroups: readonly Cgroup[],
): OwnedCgroup[] {
  const owners = new Map<string, number>();
  const ownerAt = ownerFinder(policies);
  for (const { path } of cgroups) {
    const owner = ownerAt(path);
    if (owner >= 0) owners.set(path, owner + 1);
  }
  return cgroups.flatMap(({ id, path }) => {
    const policy = owners.get(path);
    return policy === undefined
      ? []
      : [{ id, path, policy, via: highestOwned(path, policy, owners) }];
  });
}

/** The highest ancestor of `path` with the same owner, which is the one that is attached. */
function highestOwned(
  path: string,
  policy: number,
  owners: ReadonlyMap<string, number>,
): string | null {
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    const ancestor = path.slice(0, slash);
    if (owners.get(ancestor) === policy) return ancestor;
  }
  return null;
}
