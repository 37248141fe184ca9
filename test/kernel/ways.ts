// Random policies and conversations, for two ways of a packet that have to agree.

import type { Random } from '../compile/prefixes.js';

export type Side = 'inside' | 'outside';
type Direction = 'egress' | 'ingress';
const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

/** Where one round's conversations take place. */
export interface Place {
  readonly family: 4 | 6;
  /** Local and remote addresses of the managed cgroup's sockets. */
  readonly addresses: Readonly<Record<Side, readonly string[]>>;
  /** What keeps a packet off the quick way, and how many bytes it is long. */
  readonly option: 'nops' | 'hop-by-hop' | 'destination';
  readonly optionBytes: number;
}

/** A method of test/kernel/ways.py with its arguments. */
export type Step = readonly [string, ...(string | number)[]];

export interface Phase {
  /** `egress`, `ingress` and more of a policy; null where there is none. */
  readonly policy: object | null;
  readonly datagrams: readonly Step[];
  readonly streams: readonly Step[];
}

export interface Round {
  readonly place: Place;
  readonly phases: readonly Phase[];
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)]!;
}

/** No two of the same number share an address. */
function makePlace(random: Random, number: number): Place {
  const at = (host: number): string => `127.${String(number + 1)}.2.${String(host)}`;
  const at6 = (host: number): string => `2001:db8:${String(number + 1)}::2:${String(host)}`;
  if (random(2) === 0) {
    const addresses = { inside: [at(9)], outside: [at(3), at(4)] };
    return { family: 4, addresses, option: 'nops', optionBytes: 4 };
  }
  const addresses = { inside: [at6(9)], outside: [at6(3), at6(4)] };
  const option = pick(random, ['hop-by-hop', 'destination'] as const);
  return { family: 6, addresses, option, optionBytes: 8 };
}

function makeRule(random: Random, direction: Direction, { addresses }: Place): object {
  const remote = pick(random, [...addresses.outside, [...addresses.outside], 'any']);
  const ports = pick(random, [
    null,
    ['udp'],
    ['tcp'],
    [40001],
    [40002],
    ['40001-40002/udp', 40003],
  ]);
  const log = pick(random, [null, null, 'none', 'denied', 'denied', 'new', 'all']);
  return {
    action: pick(random, ['allow', 'allow', 'drop']),
    [direction === 'egress' ? 'to' : 'from']: remote,
    ...(ports === null ? {} : { ports }),
    ...(log === null ? {} : { log }),
  };
}

function makeDirection(random: Random, direction: Direction, place: Place): object | null {
  if (random(8) === 0) return null;
  const defaults = direction === 'egress' ? ['allow', 'drop', 'reject'] : ['allow', 'drop', 'drop'];
  const rules = Array.from({ length: random(5) }, () => makeRule(random, direction, place));
  return { default: pick(random, defaults), rules };
}

function makePolicy(random: Random, place: Place): Readonly<Record<string, unknown>> {
  const policy: Record<string, unknown> = {
    log: pick(random, ['none', 'denied', 'denied', 'new']),
  };
  if (random(10) === 0) policy['mode'] = 'audit';
  for (const direction of DIRECTIONS) {
    const rules = makeDirection(random, direction, place);
    if (rules !== null) policy[direction] = rules;
  }
  return policy;
}

/** The same, but for one direction. */
function changePolicy(
  random: Random,
  policy: Readonly<Record<string, unknown>>,
  place: Place,
): Readonly<Record<string, unknown>> {
  const direction = pick(random, DIRECTIONS);
  const { [direction]: _, ...rest } = policy;
  const rules = makeDirection(random, direction, place);
  return rules === null ? rest : { ...rest, [direction]: rules };
}

/** A few pairs of sockets, so that they meet again. */
function makeDatagrams(random: Random, pairs: readonly (readonly [number, number])[]): Step[] {
  const steps: Step[] = [];
  for (let i = 0; i < 10; i++) {
    const [inside, outside] = pick(random, pairs);
    steps.push(['send', inside, outside, pick(random, DIRECTIONS)]);
  }
  return steps;
}

/** Two new connections, and data over all that there may be. */
function makeStreams(random: Random, phase: number): Step[] {
  const steps: Step[] = [];
  for (let i = 0; i < 2; i++) {
    const begin = pick(random, DIRECTIONS);
    const port = begin === 'egress' ? [40001, 40003] : [40001, 40002];
    steps.push(['open', `${String(phase)}-${String(i)}`, begin, random(2), pick(random, port)]);
  }
  for (let old = 0; old <= phase; old++) {
    for (let i = 0; i < 2; i++) {
      const first = random(2);
      for (const turn of [first, 1 - first])
        steps.push(['talk', `${String(old)}-${String(i)}`, DIRECTIONS[turn]!]);
    }
  }
  return steps;
}

/** Three phases of one conversation: a policy or none, a change, and the first policy (again). */
export function makeRound(random: Random, number: number): Round {
  const place = makePlace(random, number);
  const policy = makePolicy(random, place);
  const changed = random(2) === 0 ? changePolicy(random, policy, place) : makePolicy(random, place);
  const pairs = [0, 1, 2].map(() => [random(2), random(4)] as const);
  // What begins before there is a policy is adopted; one of a file has to stay.
  const first = number > 0 && random(6) === 0 ? null : policy;
  const phases = [first, changed, policy].map((each, phase) => ({
    policy: each,
    datagrams: makeDatagrams(random, pairs),
    streams: makeStreams(random, phase),
  }));
  if (random(3) === 0) phases[random(2)]!.datagrams.splice(random(5), 0, ['join', ...pairs[0]!]);
  return { place, phases };
}
