// What one decision costs, by test runs of the programs in the kernel.

import { CROWDED, beside6, FREE_PORT, outside4, randomFrom } from '../generate.js';
import { replace } from '../lib/cgfw.js';
import { listOf, SEED } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { packetOf } from '../lib/packets.js';
import { oneRuleText, textOf } from '../lib/policies.js';
import type { Mode as PolicyMode } from '../lib/policies.js';
import { compileFile, fillPicks, loadPlain, loadWith, measure } from '../lib/prog-run.js';
import { count } from '../lib/stats.js';
import { fillTries } from '../peers/tries.js';
import type { Mode, Question, Row, Trial } from '../question.js';

interface Table {
  readonly name: string;
  /** Prefixes of the list, or 0 for rules. */
  readonly prefixes: number;
  readonly rules: number;
}

const TABLES: readonly Table[] = [
  { name: '1 rule', prefixes: 0, rules: 1 },
  { name: '10 k rules', prefixes: 0, rules: 10_000 },
  ...[1, 1000, 100_000, 1_000_000].map((prefixes) => ({
    name: `${count(prefixes)} prefixes`,
    prefixes,
    rules: 0,
  })),
];

const POLICY_MODES: readonly PolicyMode[] = ['egress', 'ingress', 'blocklist', 'stateful'];

const RULES_SPAN = 0x04000000;

/** Picked addresses of one family: where the tables are busiest, and hardly ever denied. */
function picksOf(table: Table, family: 4 | 6): Uint32Array {
  if (family === 6) return beside6(SEED, 1 << 19);
  if (table.prefixes > 0) return outside4(SEED, listOf(table.prefixes), 1 << 21);
  const next = randomFrom(SEED);
  const base = (CROWDED.address & 0xfc000000) >>> 0;
  return Uint32Array.from({ length: 1 << 21 }, () => base + next(RULES_SPAN));
}

function textFor(table: Table, state: PolicyMode, family: 4 | 6): string {
  if (table.rules === 1) return oneRuleText(['bench'], state);
  return textOf(['bench'], { prefixes: table.prefixes, rules: table.rules, state, family });
}

const PROTOCOLS = ['tcp', 'udp'] as const;
const DIRECTIONS = ['egress', 'ingress'] as const;
/** Each test run has a new socket: it meets so many peers, and then each of them again and again. */
const LIVE_EXCHANGES = 1024;
const LIVE_REPEAT = 50_000;

/** One policy: the packets of some directions, hot and cold, in turns with the empty program. */
async function measurePolicy(
  ground: Ground,
  mode: Mode,
  table: Table,
  family: 4 | 6,
  state: PolicyMode,
): Promise<Row[]> {
  const batches = mode === 'quick' ? 60 : 400;
  const file = ground.file('policy.yaml');
  replace(file, textFor(table, state, family));
  const program = compileFile(file);
  const empty = await loadPlain('empty');
  const hot = await loadWith('prog_run', program);
  const cold = await loadWith('cold_run', program);
  const picks = picksOf(table, family);
  const remote = [...picks.subarray(0, family === 4 ? 1 : 4)];
  const rows: Row[] = [];
  const ofDirection = DIRECTIONS.filter(
    (direction) => state === direction || state === 'blocklist' || state === 'stateful',
  );
  for (const protocol of PROTOCOLS) {
    for (const direction of ofDirection) {
      const packet = packetOf({ family, protocol, remote, direction, port: FREE_PORT });
      const isNoted = protocol === 'udp' && state !== direction;
      fillPicks(cold, picks);
      const [emptyNs = NaN, hotNs = NaN, pickNs = NaN, coldNs = NaN] = measure(
        [
          { program: empty.program(direction), packet },
          { program: hot.program(direction), packet },
          { program: cold.program(`pick${String(family)}`), packet },
          { program: cold.program(direction), packet },
        ],
        batches,
      );
      const words =
        (state === direction ? 'stateless' : state) +
        ` IPv${String(family)} ${protocol} ${direction}`;
      const row = (what: string, value: number): Row => ({
        variant: `cgfw ${table.name}`,
        metric: `${words} ${what}`,
        unit: 'ns',
        value,
      });
      rows.push(
        row('hot', hotNs - emptyNs),
        row(isNoted ? 'cold, each a new exchange' : 'cold', coldNs - pickNs),
      );
      if (table.rules === 1)
        rows.push({
          variant: 'empty program',
          metric: `IPv${String(family)} ${protocol} ${direction}`,
          unit: 'ns',
          value: emptyNs,
        });
      if (!isNoted) continue;
      fillPicks(cold, picks.subarray(0, LIVE_EXCHANGES * (family === 4 ? 1 : 4)));
      const [againPickNs = NaN, againNs = NaN] = measure(
        [
          { program: cold.program(`pick${String(family)}`), packet },
          { program: cold.program(direction), packet },
        ],
        batches / 10,
        LIVE_REPEAT,
      );
      rows.push(row('1 k live exchanges', againNs - againPickNs));
    }
  }
  for (const object of [empty, hot, cold]) object.close();
  return rows;
}

/** The two-trie design with the same list and the same addresses. */
async function measureTries(mode: Mode, table: Table, family: 4 | 6): Promise<Row[]> {
  const batches = mode === 'quick' ? 20 : 150;
  const empty = await loadPlain('empty');
  const tries = await loadPlain('tries');
  fillTries(tries, table.prefixes, family);
  const picks = picksOf(table, family);
  fillPicks(tries, picks);
  const cold = await loadWithPicks(picks);
  const remote = [...picks.subarray(0, family === 4 ? 1 : 4)];
  const packet = packetOf({
    family,
    protocol: 'udp',
    remote,
    direction: 'egress',
    port: FREE_PORT,
  });
  const [emptyNs = NaN, hotNs = NaN, pickNs = NaN, coldNs = NaN] = measure(
    [
      { program: empty.program('egress'), packet },
      { program: tries.program('egress'), packet },
      { program: cold.program(`pick${String(family)}`), packet },
      { program: tries.program('cold'), packet },
    ],
    batches,
  );
  const variant = `two tries ${table.name}`;
  const metric = `stateless IPv${String(family)} udp egress`;
  return [
    { variant, metric: `${metric} hot`, unit: 'ns', value: hotNs - emptyNs },
    { variant, metric: `${metric} cold`, unit: 'ns', value: coldNs - pickNs },
  ];
}

/** Only to have the program that picks and does nothing else. */
async function loadWithPicks(picks: Uint32Array) {
  const object = await loadPlain('cold_run');
  fillPicks(object, picks);
  return object;
}

export const decision: Question = {
  name: 'decision',
  asks: 'What does one decision cost, over a program of the same type that does nothing?',
  trials: (mode): Trial[] => [
    ...TABLES.filter(
      ({ prefixes }) => mode === 'full' || prefixes === 0 || prefixes >= 100_000,
    ).flatMap((table) =>
      ([4, 6] as const).flatMap((family) =>
        POLICY_MODES.filter(
          (state) => table.rules < 2 || (family === 4 && state !== 'blocklist'),
        ).map((state) => ({
          name: `${table.name}, IPv${String(family)}, ${state}`,
          timeoutS: 120,
          run: (ground: Ground) => measurePolicy(ground, mode, table, family, state),
        })),
      ),
    ),
    ...TABLES.filter(({ prefixes }) => prefixes >= (mode === 'full' ? 1000 : 100_000)).flatMap(
      (table) =>
        ([4, 6] as const)
          .filter((family) => mode === 'full' || family === 4)
          .map((family) => ({
            name: `two tries, ${table.name}, IPv${String(family)}`,
            timeoutS: 120,
            run: () => measureTries(mode, table, family),
          })),
    ),
  ],
};
