// Sets that would cut this host off from itself or its own network.

import { parseAddress, parsePrefix, type Prefix } from '../base/address.js';
import {
  containsAddress,
  coversRanges,
  intersectRanges,
  rangesOf,
  toPrefixes,
  type AddressRanges,
} from '../base/ranges.js';
import { quote } from '../base/suggest.js';
import type { Lists } from './lists.js';
import type { Report } from './report.js';
import type { Host } from './resolve.js';
import type { PlacedRule } from './rules.js';
import type { NamedSet } from './sets.js';

const SPECIAL: readonly (readonly [what: string, prefixes: readonly string[]])[] = [
  ['loopback', ['127.0.0.0/8', '::1']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
];

/** An inline set that holds this much of a special range holds it, for our purpose. */
const HEART: Readonly<Record<string, string>> = {
  '127.0.0.0/8': '127.0.0.1',
  'fc00::/7': 'fd00::/8',
};

interface Special {
  readonly what: string;
  readonly prefix: string;
  readonly ranges: AddressRanges;
  readonly heart: AddressRanges;
}

function rangesOfText(text: string): AddressRanges {
  const prefix = parsePrefix(text);
  return rangesOf([prefix].filter((parsed): parsed is Prefix => parsed.kind === 'prefix'));
}

const SPECIALS: readonly Special[] = SPECIAL.flatMap(([what, prefixes]) =>
  prefixes.map((prefix) => ({
    what,
    prefix,
    ranges: rangesOfText(prefix),
    heart: rangesOfText(HEART[prefix] ?? prefix),
  })),
);

/**
 * Warns once of each named set that a drop or reject rule uses and that holds
 * loopback, link-local or private addresses, or one of this host's. A set from
 * a file is warned of for any such address, since somebody else wrote it; an
 * inline set only when it holds a whole such range, since that may be a slip.
 */
export function warnOfDangerousSets(
  placed: readonly PlacedRule[],
  lists: Lists,
  host: Host,
  report: Report,
): void {
  const warned = new Set<number>();
  for (const { rule, at } of placed) {
    if (rule.action === 'allow' || rule.lists === 'any') continue;
    for (const index of rule.lists) {
      const set = lists.setOf(index);
      if (set === undefined || warned.has(index)) continue;
      warned.add(index);
      const found = dangersOf(set, host);
      if (found.length === 0 || set.name === 'localhost') continue;
      const message = `this rule would ${rule.action} ${found.join(', ')}: the set ${quote(set.name)} holds ${found.length === 1 ? 'it' : 'them'}`;
      report(
        'dangerous-set',
        at,
        message,
        'put a rule that allows what must stay reachable above this one, or remove it from the set',
        'warning',
      );
    }
  }
}

function dangersOf(set: NamedSet, host: Host): readonly string[] {
  const found: string[] = [];
  for (const { what, prefix, ranges, heart } of SPECIALS) {
    if (coversRanges(set.ranges, ranges)) {
      found.push(`${prefix} (${what})`);
    } else if (set.isFile || coversRanges(set.ranges, heart)) {
      const { count, prefixes } = toPrefixes(intersectRanges(set.ranges, ranges), 1);
      if (count > 0)
        found.push(
          `${prefixes[0]}${count > 1 ? ` and ${count - 1} more of ${prefix}` : ''} (${what})`,
        );
    }
  }
  for (const text of host.addresses) {
    const address = parseAddress(text.replace(/%.*$/, ''));
    if (address.kind !== 'prefix' || !containsAddress(set.ranges, address.family, address.first))
      continue;
    found.push(`${address.text} (an address of this host)`);
  }
  return found.length > 8 ? [...found.slice(0, 8), `${found.length - 8} more`] : found;
}
