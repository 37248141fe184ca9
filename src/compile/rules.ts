// The rules table: what each rule does, what it is called, where it counts.

import { createHash } from 'node:crypto';
import type {
  Action,
  CgroupPolicy,
  Direction,
  DirectionName,
  LogLevel,
  Policy,
  Rule,
} from '../policy/policy.js';
import { ACTION_CODE, LOG_CODE } from './layout.js';
import type { CounterIds, RuleName } from './program.js';

/** Where the rules of one policy are in the rules table; an interface has those of ingress alone. */
export interface RuleBases {
  readonly egress: number;
  readonly ingress: number;
  readonly raw: number;
}

export interface RuleTable {
  /** In table order. */
  readonly names: readonly RuleName[];
  /** By policy, those of interfaces last. */
  readonly bases: readonly RuleBases[];
  /** Two words a rule: action | log << 8, counter. */
  readonly words: Uint32Array;
}

/**
 * Lays out the rules of all policies, for each: egress rules in order, egress
 * default, egress unparsable, the same for ingress, raw sockets; then, for each
 * policy of interfaces, ingress rules, default and unparsable. A rule whose
 * key is in `counters` keeps its counter; others get the smallest that no key
 * in `counters` uses, because the generation in force still counts there.
 */
export function tabulateRules(policy: Policy, counters: CounterIds): RuleTable {
  const keys = new Keys(policy);
  const ids = new FreeIds(counters);
  const names: RuleName[] = [];
  const adderOf =
    (policyName: string, index: number) =>
    (entry: Entry): void => {
      const key = keys.keyOf(policyName, entry);
      const { services: _, addresses, ...name } = entry;
      const lists = addresses === 'any' ? null : addresses.map((list) => policy.lists[list]!.name);
      names.push({ policy: index, ...name, key, counter: ids.idOf(key), lists });
    };
  const bases = policy.policies.map((own, index): RuleBases => {
    const add = adderOf(own.name, index);
    const egress = names.length;
    directionEntries(own.egress, 'egress', own.log).forEach(add);
    const ingress = names.length;
    directionEntries(own.ingress, 'ingress', own.log).forEach(add);
    const raw = names.length;
    add(rawEntry(own));
    return { egress, ingress, raw };
  });
  policy.interfaces.forEach((own, index) => {
    const ingress = names.length;
    bases.push({ egress: ingress, ingress, raw: ingress });
    // A space: no policy of cgroups can have this name.
    const add = adderOf(`interface ${own.name}`, policy.policies.length + index);
    directionEntries(own.ingress, 'ingress', own.log).forEach(add);
  });
  const words = new Uint32Array(names.length * 2);
  names.forEach(({ action, log, counter }, rule) => {
    words[rule * 2] = ACTION_CODE[action] | (LOG_CODE[log] << 8);
    words[rule * 2 + 1] = counter;
  });
  return { names, bases, words };
}

type Entry = Omit<RuleName, 'policy' | 'key' | 'counter' | 'lists'> & {
  readonly addresses: Rule['lists'];
  readonly services: Rule['services'];
};

function directionEntries(own: Direction, direction: DirectionName, log: LogLevel): Entry[] {
  const { rules, default: action, defaultLine: line } = own;
  const unwritten = {
    direction,
    index: -1,
    line,
    log,
    addresses: 'any',
    services: 'any',
  } as const;
  return [
    ...rules.map((rule, index): Entry => ({
      direction,
      kind: 'rule',
      index,
      name: rule.name ?? String(index),
      line: rule.line,
      action: rule.action,
      log: rule.log,
      summary: rule.summary,
      addresses: rule.lists,
      services: rule.services,
    })),
    { ...unwritten, kind: 'default', name: 'default', action, summary: `${action} by default` },
    {
      ...unwritten,
      kind: 'unparsable',
      name: 'unparsable',
      action: unparsableAction(action, direction),
      summary: `${unparsableAction(action, direction)} what cannot be read`,
    },
  ];
}

/** What cannot be read is treated as the default says; incoming packets cannot be rejected. */
function unparsableAction(ofDefault: Action, direction: DirectionName): Action {
  return ofDefault === 'reject' && direction === 'ingress' ? 'drop' : ofDefault;
}

function rawEntry(own: CgroupPolicy): Entry {
  const action = own.raw === 'deny' ? 'reject' : 'allow';
  return {
    direction: 'egress',
    kind: 'raw',
    index: -1,
    name: 'raw',
    line: own.line,
    action,
    log: own.log,
    summary: `${action} raw sockets`,
    addresses: 'any',
    services: 'any',
  };
}

/** An inline list is named after its place, which changes when a rule is put before it. */
const PLACE_NAME = / (?:egress|ingress)#\d+$/;
/** Longer parts of a key are replaced by their digest. */
const MAX_PART = 200;

/**
 * Says when a rule of one generation is the same as one of another: equal
 * policy, direction, kind, action, addresses, ports and name, wherever it
 * stands; for equal ones the first is the first. A named list counts by its
 * name, because a changed feed does not make another rule; an inline list by
 * its content.
 */
class Keys {
  private readonly policy: Policy;
  private readonly lists = new Map<number, string>();
  private readonly used = new Map<string, number>();

  constructor(policy: Policy) {
    this.policy = policy;
  }

  keyOf(policy: string, entry: Entry): string {
    const addresses =
      entry.addresses === 'any' ? 'any' : entry.addresses.map((list) => this.listKey(list)).join();
    const services = entry.services === 'any' ? 'any' : entry.services.join();
    const name = entry.name === String(entry.index) ? '' : entry.name;
    const parts = [policy, entry.direction, entry.kind, entry.action, name];
    const key = [...parts, brief(addresses), brief(services)].join(' | ');
    const occurrence = this.used.get(key) ?? 0;
    this.used.set(key, occurrence + 1);
    return `${key} | ${occurrence}`;
  }

  private listKey(list: number): string {
    const known = this.lists.get(list);
    if (known !== undefined) return known;
    const { name, ranges } = this.policy.lists[list]!;
    const key = PLACE_NAME.test(name) ? digest(ranges.v4, ranges.v6) : name;
    this.lists.set(list, key);
    return key;
  }
}

function brief(part: string): string {
  return part.length <= MAX_PART ? part : digest(part);
}

function digest(...parts: readonly (string | Uint32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('/');
  return `sha256:${hash.digest('hex').slice(0, 32)}`;
}

/** Gives out counter indices. */
class FreeIds {
  private readonly known: CounterIds;
  private readonly used: Set<number>;
  private next = 0;

  constructor(known: CounterIds) {
    this.known = known;
    this.used = new Set(known.values());
  }

  idOf(key: string): number {
    const known = this.known.get(key);
    if (known !== undefined) return known;
    while (this.used.has(this.next)) this.next++;
    return this.next++;
  }
}
