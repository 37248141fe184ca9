// Named services, and the items of ports.

import type { Span } from '../base/source.js';
import { mergeRanges, NO_ADDRESSES } from '../base/ranges.js';
import { quote } from '../base/suggest.js';
import { parsePorts, type Points } from './ports.js';
import { PROTOCOLS } from './protocols.js';
import type { Report } from './report.js';
import { child, entriesOf, itemsOf, type PolicyTree, type TreeNode } from './tree.js';

/** A named service, or one that has mistakes. */
export type NamedService = Points | 'broken';

/** The document's services by name. */
export function resolveServices(
  tree: PolicyTree,
  report: Report,
): ReadonlyMap<string, NamedService> {
  const services = new Map<string, NamedService>();
  for (const { key, at, value } of entriesOf(child(tree.root, 'services'))) {
    if (key === 'any' || key === 'all')
      report('reserved-name', at, `the name ${key} stands for everything`, 'choose another name');
    else if (/^[0-9]/.test(key))
      report(
        'reserved-name',
        at,
        `the name ${quote(key)} begins with a digit, like a port`,
        'choose a name that begins with a letter',
      );
    else checkProtocolName(key, at, report);
    const parts = itemsOf(value).map((item) => readPorts(item, undefined, report));
    const whole = parts.filter((part) => part !== undefined);
    const isBroken = parts.length === 0 || whole.length < parts.length;
    services.set(
      key,
      isBroken ? 'broken' : { kind: 'points', points: whole.flatMap((part) => part.points) },
    );
  }
  return services;
}

/** The points of an item of ports; names are looked up in the services, or refused where there are none to look in. */
export function readPorts(
  item: TreeNode,
  services: ReadonlyMap<string, NamedService> | undefined,
  report: Report,
  suggest?: (name: string) => string,
): Points | undefined {
  if (item.kind !== 'scalar' || (typeof item.value !== 'string' && !Number.isInteger(item.value)))
    return undefined;
  const text = item.source;
  const points = parsePorts(text);
  if (points?.kind === 'points') {
    if (text === 'ah' || text === 'proto/51') warnOfAh(text, item, report);
    return points;
  }
  if (points !== undefined) {
    report(points.code, item, points.message, points.fix);
    return undefined;
  }
  const service = services?.get(text);
  if (service !== undefined) return service === 'broken' ? undefined : service;
  const message =
    services === undefined
      ? `${quote(text)} is not a port; a service cannot name another service`
      : `there is no service ${quote(text)}`;
  report(
    'unknown-service',
    item,
    message,
    suggest?.(text) ?? 'write ports such as 443/tcp, or a protocol',
  );
  return undefined;
}

function warnOfAh(text: string, at: Span, report: Report): void {
  report(
    'protocol',
    at,
    `${text} matches IPv4 only: in IPv6 it is an extension header, and the protocol after it decides`,
    'for IPv6 name that protocol, such as esp',
    'warning',
  );
}

/** Canonical point ranges of several forms. */
export function mergePoints(parts: readonly Points[]): Uint32Array {
  return mergeRanges({
    v4: Uint32Array.from(parts.flatMap((part) => part.points.flat())),
    v6: NO_ADDRESSES.v6,
  }).v4;
}

/** Reports a name of a set or service that is the name of a protocol. */
export function checkProtocolName(key: string, at: Span, report: Report): void {
  if (!Object.hasOwn(PROTOCOLS, key) && key !== 'proto') return;
  report('reserved-name', at, `the name ${key} is the name of a protocol`, 'choose another name');
}
