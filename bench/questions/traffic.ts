// What a firewall costs traffic through real sockets.

import { apply } from '../lib/cgfw.js';
import { destinationsFile } from '../lib/data.js';
import type { Ground } from '../lib/ground.js';
import { oneRuleText, textOf } from '../lib/policies.js';
import type { Shape } from '../lib/policies.js';
import type { Where } from '../lib/run.js';
import { pairs } from '../lib/pairs.js';
import { count, rowOf } from '../lib/stats.js';
import { traffic } from '../lib/traffic.js';
import { filterBySet, restore, restoreText } from '../peers/ipset.js';
import { linearRules, load, setRules } from '../peers/nft.js';
import type { Filtered } from '../peers/nft.js';
import { attachPair, fillTries } from '../peers/tries.js';
import type { Mode, Question, Row, Trial } from '../question.js';

/** Sets up one firewall for the walled cgroup; what it returns keeps it in force. */
type SetUp = (ground: Ground, filtered: Filtered) => Promise<unknown>;

interface Variant {
  readonly name: string;
  /** Prefixes in its list: the traffic goes beside them. */
  readonly prefixes: number;
  readonly setUp: SetUp;
  readonly only?: Mode;
  /** Where the measured traffic is: the filtered cgroup, or one beside it. */
  readonly from?: 'walled' | 'bystander';
}

const DEFAULT_PREFIXES = 100_000;
/** Cold traffic visits so many addresses in turn. */
const COLD = 65_536;

function cgfwVariant(name: string, shape: Shape, more: Partial<Variant> = {}): Variant {
  return {
    name: `cgfw ${name}`,
    prefixes: shape.prefixes || DEFAULT_PREFIXES,
    setUp: (ground, { cgroup }) => apply(ground, textOf([cgroup], shape)),
    ...more,
  };
}

function nftSet(prefixes: number, more: Partial<Variant> = {}, established = false): Variant {
  return {
    name: `nft ${established ? 'ct + ' : ''}set ${count(prefixes)}`,
    prefixes,
    setUp: (_, filtered) =>
      load(
        filtered.netns,
        `set-${String(prefixes)}`,
        setRules(filtered, prefixes, { established }),
      ),
    ...more,
  };
}

function nftLinear(size: number): Variant {
  return {
    name: `nft ${count(size)} linear rules`,
    prefixes: DEFAULT_PREFIXES,
    setUp: (_, filtered) =>
      load(filtered.netns, `linear-${String(size)}`, linearRules(filtered, size)),
  };
}

function ipsetVariant(prefixes: number): Variant {
  return {
    name: `ipset ${count(prefixes)}`,
    prefixes,
    setUp: async (ground, filtered) => {
      await restore(filtered.netns, ground.file('restore'), restoreText('block', prefixes));
      await filterBySet(filtered, 'block');
    },
  };
}

function triesVariant(prefixes: number): Variant {
  return {
    name: `two tries ${count(prefixes)}`,
    prefixes,
    setUp: (ground, { cgroup }) =>
      attachPair('tries', ground.directory(cgroup), (object) => fillTries(object, prefixes, 4)),
  };
}

const list = (prefixes: number, state: Shape['state'] = 'blocklist'): Shape => ({
  prefixes,
  rules: 0,
  state,
});

const VARIANTS: readonly Variant[] = [
  { name: 'nothing', prefixes: DEFAULT_PREFIXES, setUp: () => Promise.resolve() },
  {
    name: 'empty programs',
    prefixes: DEFAULT_PREFIXES,
    setUp: (ground, { cgroup }) => attachPair('empty', ground.directory(cgroup), () => undefined),
  },
  {
    name: 'cgfw 1 rule',
    prefixes: DEFAULT_PREFIXES,
    setUp: (ground, { cgroup }) => apply(ground, oneRuleText([cgroup], 'blocklist')),
  },
  cgfwVariant('1 k', list(1000)),
  cgfwVariant('100 k', list(100_000)),
  cgfwVariant('1 M', list(1_000_000)),
  cgfwVariant('100 k, egress only', list(100_000, 'egress')),
  ...[10, 1000, 10_000].map((rules) =>
    cgfwVariant(`${count(rules)} rules`, { prefixes: 0, rules, state: 'egress' }),
  ),
  cgfwVariant('100 k, default deny, stateful', list(100_000, 'stateful')),
  cgfwVariant('100 k, for a bystander', list(100_000), { from: 'bystander' }),
  triesVariant(1000),
  triesVariant(100_000),
  { ...triesVariant(1_000_000), only: 'full' },
  nftSet(1000),
  nftSet(100_000),
  nftSet(1_000_000, { only: 'full' }),
  nftSet(100_000, {}, true),
  nftSet(1000, { name: 'nft set 1 k, for a bystander', from: 'bystander' }),
  nftLinear(10),
  nftLinear(1000),
  nftLinear(10_000),
  ipsetVariant(1000),
  ipsetVariant(100_000),
  { ...ipsetVariant(1_000_000), only: 'full' },
];

interface Kind {
  readonly name: string;
  readonly argv: readonly string[];
  /** Cold or hot destinations, in number. */
  readonly destinations: number;
  readonly of: 'added' | 'ratio';
  /** What is counted by the second, on one CPU. */
  readonly rate: string;
}

const KINDS: readonly Kind[] = [
  { name: 'UDP hot', argv: ['udp'], destinations: 1, of: 'added', rate: 'packets/s' },
  {
    name: 'UDP 64 k destinations',
    argv: ['udp'],
    destinations: COLD,
    of: 'added',
    rate: 'packets/s',
  },
  { name: 'TCP request/response', argv: ['rr'], destinations: 1, of: 'ratio', rate: 'exchanges/s' },
  {
    name: 'TCP connect and close',
    argv: ['conn'],
    destinations: 1024,
    of: 'ratio',
    rate: 'connections/s',
  },
];

/**
 * The same traffic without and with the firewall, in turns, each time in a new
 * process on the same CPU: what drifts, drifts for both.
 */
async function measureKind(
  open: Where,
  walled: Where,
  variant: Variant,
  kind: Kind,
  mode: Mode,
): Promise<Row[]> {
  const file = destinationsFile(variant.prefixes, kind.destinations);
  const argv = [...kind.argv, '-s', mode === 'quick' ? '0.06' : '0.1', '-d', file];
  const { base, other, added, ratios } = await pairs(mode, async (which) => {
    const { ns, errors, count } = await traffic(which === 'base' ? open : walled, ...argv);
    if (errors > 0)
      throw new Error(`${variant.name} refused ${String(errors)} of ${String(count)} sends`);
    return ns;
  });
  const rate = (samples: readonly number[]): number[] => samples.map((ns) => 1e9 / ns);
  const rows = [
    rowOf(variant.name, `${kind.name} ratio`, 'x', ratios),
    rowOf(variant.name, `${kind.name} rate`, kind.rate, rate(other)),
  ];
  if (kind.of === 'added') rows.unshift(rowOf(variant.name, `${kind.name} added`, 'ns', added));
  if (variant.name === 'nothing')
    rows.push(
      rowOf('no firewall', kind.name, 'ns', base),
      rowOf('no firewall', `${kind.name} rate`, kind.rate, rate(base)),
    );
  return rows;
}

async function measureVariant(ground: Ground, variant: Variant, mode: Mode): Promise<Row[]> {
  const cgroup = ground.cgroup('walled');
  const beside = ground.cgroup('open');
  const netns = await ground.netns('walled');
  const openNetns = await ground.netns('open');
  const kept = await variant.setUp(ground, { netns, cgroup, cgroupRoot: ground.place.cgroupRoot });
  const open: Where = { cgroup: ground.directory(beside), netns: openNetns, cpu: 0 };
  const from = variant.from === 'bystander' ? ground.cgroup('bystander') : cgroup;
  const walled: Where = { cgroup: ground.directory(from), netns, cpu: 0 };
  const rows: Row[] = [];
  for (const kind of KINDS) rows.push(...(await measureKind(open, walled, variant, kind, mode)));
  if (kept === null) throw new Error('the firewall is gone');
  return rows;
}

export const trafficQuestion: Question = {
  name: 'traffic',
  asks: 'What does a firewall cost traffic through real sockets, sent and received?',
  trials: (mode): Trial[] =>
    VARIANTS.filter(({ only }) => only === undefined || only === mode).map((variant) => ({
      name: variant.name,
      timeoutS: 180,
      run: (ground) => measureVariant(ground, variant, mode),
    })),
};
