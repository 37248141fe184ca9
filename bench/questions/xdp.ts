// What the program of an interface costs a frame: by test runs, and on native veth.

import { writeInterfaceOwner } from '../../src/kernel/interface-table.js';
import { attachXdp, listInterfaces } from '../../src/kernel/native.js';
import type { BpfLink, BpfObject, BpfProgram } from '../../src/kernel/native.js';
import { apply, replace } from '../lib/cgfw.js';
import type { Ground } from '../lib/ground.js';
import { packetOf } from '../lib/packets.js';
import { pairs } from '../lib/pairs.js';
import {
  compileFile,
  fillPicks,
  loadPlain,
  loadWith,
  measure,
  SHIPPED_XDP,
} from '../lib/prog-run.js';
import { exactAddresses, listFile, sourceWords } from '../lib/sources.js';
import type { SourceList } from '../lib/sources.js';
import { count, rowOf } from '../lib/stats.js';
import { Wires } from '../lib/wire.js';
import { FILTERED, loadXdpFilter } from '../peers/xdp-filter.js';
import type { Mode, Question, Row, Trial } from '../question.js';

const OWN = 'own';
/** Of a test run that is told nothing: loopback. */
const TEST_RUN_IFINDEX = 1;
const SIDES = [
  { side: 'inside', verdict: 'drop' },
  { side: 'beside', verdict: 'pass' },
] as const;
const RETVAL = { drop: 1, pass: 2 } as const;

/** As many as xdp-filter takes. */
const MOST_EXACT = 10_000;

const LISTS: readonly Omit<SourceList, 'family'>[] = [
  ...[1, 1000, 100_000, 1_000_000].map((size) => ({ size, of: 'prefixes' as const })),
  { size: MOST_EXACT, of: 'addresses' },
];

const nameOf = ({ size, of }: Omit<SourceList, 'family'>): string => `${count(size)} ${of}`;

/** Drops what comes from the list, passes the rest. */
function policyOf(list: SourceList): string {
  const rule = { action: 'drop', from: 'feed' };
  return JSON.stringify({
    version: 1,
    sets: { feed: { file: listFile(list) } },
    interfaces: [
      {
        name: 'edge',
        interfaces: [OWN],
        attach: 'native',
        log: 'none',
        ingress: { default: 'allow', rules: [rule] },
      },
    ],
  });
}

function frameFrom(list: SourceList, side: 'inside' | 'beside'): Uint8Array {
  const remote = [...sourceWords(list, side).subarray(0, list.family === 4 ? 1 : 4)];
  return packetOf({
    family: list.family,
    protocol: 'udp',
    remote,
    direction: 'ingress',
    port: 40009,
  });
}

/** Throws when a program does not do what its row says. */
function prove(program: BpfProgram, packet: Uint8Array, verdict: 'drop' | 'pass'): void {
  const { retval } = program.testRun({ data: packet });
  if (retval !== RETVAL[verdict])
    throw new Error(`${program.info.name} does not ${verdict}: ${String(retval)}`);
}

/** At most: they hardly differ, and each send is 65,536 frames. */
const VETH_PAIRS = 8;

/** Each test run of XDP first waits for all CPUs: few, and long ones. */
const LONG_REPEAT = 20_000;

function batchesOf(mode: Mode): number {
  return mode === 'quick' ? 6 : 12;
}

async function testRuns(ground: Ground, mode: Mode, list: SourceList): Promise<Row[]> {
  const file = ground.file('policy.yaml');
  replace(file, policyOf(list));
  const program = compileFile(file);
  const empty = await loadPlain('xdp_empty');
  const hot = await loadWith(SHIPPED_XDP, program);
  const cold = await loadWith('xdp_cold', program);
  for (const object of [hot, cold])
    writeInterfaceOwner(object.map('interfaces'), TEST_RUN_IFINDEX, 1, 1);
  const rows = SIDES.flatMap(({ side, verdict }) => {
    const packet = frameFrom(list, side);
    fillPicks(cold, sourceWords(list, side));
    prove(hot.program('cgfw_xdp'), packet, verdict);
    prove(cold.program('cold'), packet, verdict);
    const [emptyNs = NaN, hotNs = NaN, pickNs = NaN, coldNs = NaN] = measure(
      [
        { program: empty.program(verdict), packet },
        { program: hot.program('cgfw_xdp'), packet },
        { program: cold.program(`pick${String(list.family)}`), packet },
        { program: cold.program('cold'), packet },
      ],
      batchesOf(mode),
      LONG_REPEAT,
    );
    const words = `IPv${String(list.family)} ${verdict}, test run`;
    const row = (variant: string, metric: string, value: number): Row => ({
      variant,
      metric: `${words}${metric}`,
      unit: 'ns',
      value,
    });
    const variant = `cgfw ${nameOf(list)}`;
    return [
      row('empty XDP program', '', emptyNs),
      row(variant, ', one source', hotNs - emptyNs),
      row(variant, ', random sources', coldNs - pickNs),
    ];
  });
  for (const object of [empty, hot, cold]) object.close();
  return rows;
}

/** Puts the empty programs on interfaces that bear their names, as long as the links are held. */
async function attachEmpty(): Promise<{ empty: BpfObject; links: BpfLink[] }> {
  const empty = await loadPlain('xdp_empty');
  const links = SIDES.map(({ verdict }) =>
    attachXdp(empty.program(verdict), ifindexOf(verdict), 'native'),
  );
  return { empty, links };
}

function ifindexOf(name: string): number {
  return listInterfaces().find((device) => device.name === name)?.ifindex ?? 0;
}

/** The same frames to the empty program and to the filter, in turns. */
async function onVeth(
  wires: Wires,
  mode: Mode,
  name: string,
  filter: string,
  list: SourceList,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { side, verdict } of SIDES) {
    const words = `IPv${String(list.family)} ${verdict}, native veth`;
    const all = sourceWords(list, side);
    const one = all.subarray(0, list.family === 4 ? 1 : 4);
    for (const [sources, what] of [
      [one, 'one source'],
      [all, 'random sources'],
    ] as const) {
      wires.prepare(frameFrom(list, side), sources);
      const { base, added } = await pairs(
        mode,
        (which) => wires.send(which === 'base' ? verdict : filter, list.family),
        VETH_PAIRS,
      );
      rows.push(
        rowOf('empty XDP program', `${words}, ${what}`, 'ns', base),
        rowOf(name, `${words}, ${what}`, 'ns', added),
      );
    }
  }
  return rows;
}

async function ownOnVeth(ground: Ground, mode: Mode, list: SourceList): Promise<Row[]> {
  const wires = await Wires.lay(ground, ['drop', 'pass', OWN]);
  const { empty, links } = await attachEmpty();
  await apply(ground, policyOf(list));
  const rows = await onVeth(wires, mode, `cgfw ${nameOf(list)}`, OWN, list);
  for (const held of [empty, ...links]) held.close();
  return rows;
}

/** Its program on veth, and by test runs. */
async function xdpFilter(ground: Ground, mode: Mode, list: SourceList): Promise<Row[]> {
  const wires = await Wires.lay(ground, ['drop', 'pass', FILTERED]);
  const { empty, links } = await attachEmpty();
  const filter = await loadXdpFilter(ground, wires.receiver, exactAddresses(list));
  const variant = `xdp-filter ${nameOf(list)}`;
  const rows: Row[] = SIDES.map(({ side, verdict }) => {
    const packet = frameFrom(list, side);
    prove(filter, packet, verdict);
    const [emptyNs = NaN, filterNs = NaN] = measure(
      [
        { program: empty.program(verdict), packet },
        { program: filter, packet },
      ],
      batchesOf(mode),
      LONG_REPEAT,
    );
    const metric = `IPv${String(list.family)} ${verdict}, test run, one source`;
    return { variant, metric, unit: 'ns', value: filterNs - emptyNs };
  });
  rows.push(...(await onVeth(wires, mode, variant, FILTERED, list)));
  for (const held of [empty, filter, ...links]) held.close();
  return rows;
}

export const xdp: Question = {
  name: 'xdp',
  asks: 'What does the program of an interface cost a frame, over an empty XDP program that does the same?',
  trials: (mode): Trial[] =>
    LISTS.filter(({ size }) => mode === 'full' || size > 1000).flatMap((each) =>
      ([4, 6] as const).flatMap((family): Trial[] => {
        const list: SourceList = { ...each, family };
        const name = `${nameOf(list)}, IPv${String(family)}`;
        const trial = (what: string, measureIt: typeof testRuns): Trial => ({
          name: `${what}, ${name}`,
          timeoutS: 90,
          run: (ground) => measureIt(ground, mode, list),
        });
        return [
          trial('test runs', testRuns),
          ...(list.size === 1 ? [] : [trial('veth', ownOnVeth)]),
          ...(list.size === MOST_EXACT ? [trial('xdp-filter', xdpFilter)] : []),
        ];
      }),
    ),
};
