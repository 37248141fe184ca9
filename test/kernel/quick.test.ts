// The quick way of a packet says the same as the whole way, which nobody ever has to know.
//
// The same conversations take place twice, in two namespaces that know nothing of each
// other: once with plain sockets, and once with sockets whose packets carry an option that
// means nothing, which only the whole way can read. That it is so cannot be seen from
// outside; test/bpf/parser.test.ts asks each way alone.

import t from 'tap';
import type { Test } from 'tap';
import { randomFrom } from '../compile/prefixes.js';
import { Netns } from './netns.js';
import { Program } from './program.js';
import { Sandbox } from './sandbox.js';
import { policyText } from './traffic.js';
import { makeRound } from './ways.js';
import type { Round, Step } from './ways.js';

const seed = Number(process.env['CGFW_SEED'] ?? Date.now() % 2 ** 31);
const ROUNDS = Number(process.env['CGFW_ROUNDS'] ?? 64);
/** Rounds that share a policy file: what takes time is to apply it. */
const BATCH = 16;

const WAYS = ['quick', 'whole'] as const;
type Way = (typeof WAYS)[number];
type Kind = 'datagrams' | 'streams';

/** Sent and arrived, sent and lost, refused: a run in which one of these is missing says little. */
const FATES = [
  'datagrams: ok,datagram',
  'datagrams: ok,EAGAIN',
  'datagrams: EPERM,EAGAIN',
  'streams: EINPROGRESS',
  'streams: EINPROGRESS EAGAIN',
  'streams: EPERM EAGAIN',
  'streams: segment',
  'streams: EAGAIN',
];

interface Rule {
  readonly direction: string;
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** What each round's steps came to, one way. */
interface Played {
  readonly results: readonly unknown[];
  readonly rules: readonly Rule[];
  readonly events: readonly Record<string, unknown>[];
}

class Theatre {
  readonly box = new Sandbox();
  readonly #ways = new Map<Way, { readonly netns: Netns; readonly program: Program }>();

  constructor() {
    for (const way of WAYS) {
      const netns = new Netns();
      netns.ip('-6', 'route', 'add', 'local', '2001:db8::/32', 'dev', 'lo');
      netns.sysctl('net/ipv6/ip_nonlocal_bind', '1');
      // No client's own port is one that a rule is about.
      netns.sysctl('net/ipv4/ip_local_port_range', '50000 60000');
      const place = { cgroup: this.path(this.box.cgroup('outside')), netns: netns.name };
      this.#ways.set(way, { netns, program: Program.start(place, 'ways.py') });
    }
  }

  path(cgroup: string): string {
    return `${this.box.place.cgroupRoot}/${cgroup}`;
  }

  cgroup(way: Way, number: number): string {
    return `${this.box.name}/${way}-${String(number)}`;
  }

  async tell(way: Way, scene: number, command: object): Promise<unknown[]> {
    return this.#ways.get(way)!.program.ask<unknown[]>({ scene, ...command });
  }

  /** Rules of each policy, with what they have counted. */
  async rules(): Promise<Map<string, readonly Rule[]>> {
    const { policies } = (await this.box.json('status', this.box.policyFile)) as {
      policies: { name: string; rules: Rule[] }[];
    };
    return new Map(policies.map(({ name, rules }) => [name, rules]));
  }

  async close(): Promise<void> {
    for (const { program } of this.#ways.values()) await program.end();
    await this.box.close();
    for (const { netns } of this.#ways.values()) netns.close();
  }
}

/** Plays a part of every round both ways; gives by policy name what became of it. */
async function play(
  theatre: Theatre,
  parts: readonly (readonly Step[])[],
): Promise<Map<string, Played>> {
  const before = await theatre.rules();
  const events: Record<string, unknown>[] = [];
  const stop = theatre.box.follow((event) => void events.push(event));
  const results = new Map<string, unknown[]>();
  await Promise.all(
    WAYS.map(async (way) => {
      for (const [number, steps] of parts.entries())
        results.set(nameOf(way, number), await theatre.tell(way, number, { op: 'play', steps }));
    }),
  );
  stop();
  const after = await theatre.rules();
  return new Map(
    [...results].map(([name, result]) => [
      name,
      {
        results: result,
        rules: counted(before.get(name) ?? [], after.get(name) ?? []),
        events: events.filter(({ policy }) => policy === name),
      },
    ]),
  );
}

/** The rules that have counted something since, and what. */
function counted(before: readonly Rule[], after: readonly Rule[]): Rule[] {
  const since = after.map((rule, i) => {
    const { packets, bytes } = before[i]!;
    return { ...rule, packets: rule.packets - packets, bytes: rule.bytes - bytes };
  });
  return since.filter(({ packets }) => packets > 0);
}

const nameOf = (way: Way, number: number): string => `${way}-${String(number)}`;

/**
 * What has to be the same both ways. Of datagrams everything, but for the bytes of the
 * option. TCP acknowledges by a clock of its own: which rules have counted is compared,
 * and what was logged, but not how often.
 */
function comparable({ results, rules, events }: Played, kind: Kind, optionBytes: number): object {
  if (kind === 'streams') {
    const told = events.map(({ hook, verdict, rule, mode }) =>
      [hook, verdict, rule, mode].join(' '),
    );
    return {
      results,
      rules: rules.map(({ direction, name }) => `${direction}#${name}`),
      events: [...new Set(told)].sort(),
    };
  }
  return {
    results,
    rules: rules.map(({ direction, name, packets, bytes }) =>
      [direction, name, packets, bytes - packets * optionBytes].join(' '),
    ),
    events: events.map(({ hook, verdict, rule, mode, sport, dport, length }) =>
      [hook, verdict, rule, mode, sport, dport, Number(length) - optionBytes].join(' '),
    ),
  };
}

/** Plays rounds at the same time; adds to `fates` how often each result came. */
async function playRounds(
  t: Test,
  theatre: Theatre,
  rounds: readonly Round[],
  fates: Map<string, number>,
): Promise<void> {
  for (const way of WAYS) {
    for (const [number, { place }] of rounds.entries()) {
      const { option, ...rest } = place;
      theatre.box.cgroup(nameOf(way, number));
      const cgroups = {
        inside: theatre.path(theatre.cgroup(way, number)),
        outside: theatre.path(theatre.box.cgroup('outside')),
      };
      const command = { ...rest, cgroups, option: way === 'whole' ? option : null };
      await theatre.tell(way, number, { op: 'open', ...command });
    }
  }
  for (const phase of [0, 1, 2]) {
    const policies = WAYS.flatMap((way) =>
      rounds.flatMap(({ phases }, number) => {
        const { policy } = phases[phase]!;
        const own = { name: nameOf(way, number), cgroups: [theatre.cgroup(way, number)] };
        return policy === null ? [] : [{ ...own, ...policy }];
      }),
    );
    await theatre.box.apply(policyText(policies));
    for (const kind of ['datagrams', 'streams'] as const) {
      const parts = rounds.map(({ phases }) => phases[phase]![kind]);
      const played = await play(theatre, parts);
      for (const [number, { place, phases }] of rounds.entries()) {
        const [quick, whole] = WAYS.map((way) => played.get(nameOf(way, number))!);
        for (const result of quick!.results) {
          const fate = `${kind}: ${String(result)}`;
          fates.set(fate, (fates.get(fate) ?? 0) + 1);
        }
        const found = comparable(quick!, kind, 0);
        const wanted = comparable(whole!, kind, place.optionBytes);
        if (JSON.stringify(found) === JSON.stringify(wanted)) continue;
        t.same(found, wanted, `round ${String(number)}, phase ${String(phase)}, ${kind}`, {
          place,
          policies: phases.map(({ policy }) => JSON.stringify(policy)),
          steps: parts[number]!.map((step) => step.join(' ')),
        });
      }
    }
  }
  for (const way of WAYS) {
    for (const number of rounds.keys()) await theatre.tell(way, number, { op: 'close' });
  }
}

t.test(
  `both ways of a packet agree on ${String(ROUNDS)} random conversations (seed ${String(seed)})`,
  { timeout: 30_000 + ROUNDS * 500 },
  async (t) => {
    const theatre = new Theatre();
    t.teardown(() => theatre.close());
    const random = randomFrom(seed);
    const fates = new Map<string, number>();
    for (let left = ROUNDS; left > 0; left -= BATCH) {
      const rounds = Array.from({ length: Math.min(BATCH, left) }, (_, i) => makeRound(random, i));
      await playRounds(t, theatre, rounds, fates);
    }
    for (const [fate, count] of [...fates].sort()) t.comment(`${String(count)} ${fate}`);
    for (const fate of FATES) t.ok(fates.has(fate), `there are ${fate}`);
  },
);
