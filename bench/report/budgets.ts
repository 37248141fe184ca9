// What was promised, and what was measured against it.

import type { Figures } from './rows.js';

export interface Budget {
  readonly what: string;
  readonly limit: number;
  readonly unit: string;
  /** least: the measured value has to reach the limit; most: to stay below it. */
  readonly bound: 'most' | 'least';
  readonly measured: (figures: Figures) => number;
}

const COLD = /^(stateless|stateful) .* cold$/;
const hot = (family: 4 | 6, state: string) => new RegExp(`^${state} IPv${String(family)} .* hot$`);

const decision = (what: string, variant: string, metric: RegExp, limit: number): Budget => ({
  what,
  limit,
  unit: 'ns',
  bound: 'most',
  measured: (figures) => figures.worst('decision', variant, metric),
});

/** Added cost of UDP to 64 k destinations, over another firewall's. */
const udp = (
  what: string,
  variant: string,
  over: string,
  limit: number,
  metric = 'UDP 64 k destinations added',
): Budget => ({
  what,
  limit,
  unit: 'x',
  bound: 'most',
  measured: (figures) =>
    figures.value('traffic', variant, metric) / figures.value('traffic', over, metric),
});

const time = (
  what: string,
  question: string,
  variant: string,
  metric: string,
  limit: number,
  unit = 'ms',
): Budget => ({
  what,
  limit,
  unit,
  bound: 'most',
  measured: (figures) => figures.value(question, variant, metric),
});

const over = (
  what: string,
  question: string,
  metric: string,
  pair: readonly [string, string],
  limit: number,
): Budget => ({
  what,
  limit,
  unit: 'x',
  bound: 'most',
  measured: (figures) =>
    figures.value(question, pair[0], metric) / figures.value(question, pair[1], metric),
});

/** Of frames that the program of an interface drops, over an empty program that drops. */
const xdpDrop = (what: string, how: string, limit: number): Budget => ({
  what: `XDP drop at 100 k prefixes, over an empty XDP drop, ${what}`,
  limit,
  unit: 'ns',
  bound: 'most',
  measured: (figures) =>
    figures.worst('xdp', 'cgfw 100 k prefixes', new RegExp(`IPv[46] drop, ${how}$`)),
});

/** Of accelerated local TCP, over the same without a firewall. */
const accelerated = (shape: string, limit: number): Budget => ({
  what: `accelerated local TCP over plain, ${shape}`,
  limit,
  unit: 'x',
  bound: 'least',
  measured: (figures) =>
    figures.value('accelerate', 'cgfw, accelerate', `${shape}: over no firewall`),
});

/** DESIGN's budgets, in its order. Where several figures fall under one, the worst counts. */
export const BUDGETS: readonly Budget[] = [
  decision(
    'a decision over an empty program, hot, IPv4, stateless, 100 k prefixes',
    'cgfw 100 k prefixes',
    hot(4, 'stateless'),
    40,
  ),
  decision('the same, stateful', 'cgfw 100 k prefixes', hot(4, 'stateful'), 40),
  decision('the same, IPv6, stateless', 'cgfw 100 k prefixes', hot(6, 'stateless'), 40),
  decision('the same, IPv6, stateful', 'cgfw 100 k prefixes', hot(6, 'stateful'), 40),
  decision('the same, IPv4, 10,000 rules', 'cgfw 10 k rules', hot(4, 'state(less|ful)'), 40),
  decision(
    'cold random destinations, 100 k prefixes, IPv4',
    'cgfw 100 k prefixes',
    new RegExp(COLD.source.replace('.*', 'IPv4 .*')),
    170,
  ),
  decision(
    'cold random destinations, 100 k prefixes, IPv6',
    'cgfw 100 k prefixes',
    new RegExp(COLD.source.replace('.*', 'IPv6 .*')),
    170,
  ),
  decision(
    'cold random destinations, 1 M prefixes, IPv4',
    'cgfw 1 M prefixes',
    new RegExp(COLD.source.replace('.*', 'IPv4 .*')),
    250,
  ),
  decision(
    'cold random destinations, 1 M prefixes, IPv6',
    'cgfw 1 M prefixes',
    new RegExp(COLD.source.replace('.*', 'IPv6 .*')),
    250,
  ),
  {
    what: '10,000 rules over 1 rule, whole program, hot, IPv4 TCP egress',
    limit: 1.2,
    unit: 'x',
    bound: 'most',
    measured: (figures) => {
      const metric = 'stateless IPv4 tcp egress hot';
      const empty = figures.value('decision', 'empty program', 'IPv4 tcp egress');
      return (
        (figures.value('decision', 'cgfw 10 k rules', metric) + empty) /
        (figures.value('decision', 'cgfw 1 rule', metric) + empty)
      );
    },
  },
  udp('UDP, cgfw 1 M over nft interval set 1 M', 'cgfw 1 M', 'nft set 1 M', 1 / 6),
  udp(
    'UDP, cgfw 10,000 rules over nft 10,000 linear rules',
    'cgfw 10 k rules',
    'nft 10 k linear rules',
    1 / 500,
  ),
  udp('UDP, cgfw 100 k over two tries 100 k', 'cgfw 100 k', 'two tries 100 k', 1 / 3),
  udp(
    'UDP, cgfw 100 k over empty programs, hot',
    'cgfw 100 k',
    'empty programs',
    1.4,
    'UDP hot added',
  ),
  time('1 M-prefix list, cold: file to enforced', 'load', 'cgfw apply 1 M', 'time', 1500),
  over('the same over nft -f', 'load', 'time', ['cgfw apply 1 M', 'nft -f 1 M'], 1 / 8),
  over(
    'the same over ipset restore',
    'load',
    'time',
    ['cgfw apply 1 M', 'ipset restore 1 M'],
    1 / 2,
  ),
  time('peak memory of that apply', 'load', 'cgfw apply 1 M', 'peak memory of the tool', 300, 'MB'),
  time('kernel memory, both slots', 'load', 'cgfw apply 1 M', 'kernel memory', 140, 'MB'),
  ...(
    [
      ['1 changed line in that list, running agent', 'cgfw 1 M', 'one line changed', 300],
      ['an edit of a small policy', 'cgfw small policy', 'an edit', 30],
    ] as const
  ).flatMap(([what, variant, metric, limit]) => [
    time(`${what}: settled to enforced`, 'change', variant, `${metric}, settled`, limit),
    time(`${what}: renamed to enforced`, 'change', variant, metric, limit),
  ]),
  time(
    'an edit in place: settled to enforced',
    'change',
    'cgfw small policy',
    'an edit in place, settled',
    30,
  ),
  time(
    'packets that meet a mixture or a gap, 1 M lists taking turns',
    'reload',
    'cgfw 1 M',
    'packets that met a mixture or a gap',
    0,
    'packets',
  ),
  time(
    'added cost for a cgroup that no policy is about, UDP',
    'traffic',
    'cgfw 100 k, for a bystander',
    'UDP hot added',
    25,
    'ns',
  ),
  ...['check', 'diff', 'status'].map((verb) =>
    time(`cgfw ${verb} on a small policy`, 'verbs', verb, 'time', 200),
  ),
  {
    what: 'events delivered to JavaScript and decoded, none lost',
    limit: 300_000,
    unit: '1/s',
    bound: 'least',
    measured: (figures) => figures.value('events', 'cgfw', 'most events with none lost'),
  },
  time(
    'cost of a logged packet to its sender',
    'events',
    'cgfw',
    'cost of a logged packet to its sender, each hook',
    300,
    'ns',
  ),
  ...['cgfw 100 k', 'cgfw 100 k, default deny, stateful'].map((variant): Budget => ({
    what: `TCP connect and close, no firewall over ${variant}`,
    limit: 0.95,
    unit: 'x',
    bound: 'least',
    measured: (figures) => 1 / figures.value('traffic', variant, 'TCP connect and close ratio'),
  })),
  time('CPU of an agent at rest', 'scale', 'agent with a small policy', 'CPU at rest', 0.1, '%'),
  time(
    'resident memory of an agent at rest, small policy',
    'scale',
    'agent with a small policy',
    'resident memory at rest',
    80,
    'MB',
  ),
  time(
    'the same with 1 M prefixes',
    'scale',
    'agent with 1 M prefixes',
    'resident memory at rest',
    150,
    'MB',
  ),
  ...['small policy', '1 M prefixes', '10 k rules', '2,000 cgroups', '200 policies'].map(
    (variant): Budget => ({
      what: `longest pause of the agent's main thread, ${variant}`,
      limit: 50,
      unit: 'ms',
      bound: 'most',
      measured: (figures) => figures.worst('pauses', variant, /./),
    }),
  ),
  time('2,000 cgroups attached', 'scale', '2,000 cgroups', 'apply, nothing loaded', 3000),
  accelerated('64 B ping-pong', 1.2),
  accelerated('64 B ping-pong, one CPU', 1.2),
  accelerated('64 KiB stream', 1.7),
  accelerated('128 KiB stream', 1.7),
  xdpDrop('test runs, one source', 'test run, one source', 40),
  xdpDrop('native veth, one source', 'native veth, one source', 90),
  xdpDrop('native veth, random sources', 'native veth, random sources', 90),
];
