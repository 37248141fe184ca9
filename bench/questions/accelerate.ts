// What acceleration gives to local TCP, beside plain loopback TCP.

import { join } from 'node:path';
import { apply, policyText } from '../lib/cgfw.js';
import type { Ground } from '../lib/ground.js';
import { BUILT, must } from '../lib/run.js';
import { rowOf } from '../lib/stats.js';
import type { Mode, Question, Row, Trial } from '../question.js';

interface Measured {
  /** Time of a message; of an exchange where it is answered. */
  readonly ns: number;
  /** CPU of both processes. */
  readonly cpuNsPerKib: number;
}

interface Shape {
  readonly name: string;
  readonly kind: 'pong' | 'push';
  readonly bytes: number;
  /** Both processes on one CPU. */
  readonly onOne: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: '64 B ping-pong', kind: 'pong', bytes: 64, onOne: false },
  { name: '64 B ping-pong, one CPU', kind: 'pong', bytes: 64, onOne: true },
  ...[1, 16, 64, 128].map((kib) => ({
    name: `${String(kib)} KiB stream`,
    kind: 'push' as const,
    bytes: kib * 1024,
    onOne: false,
  })),
];

/** In the order in which they take turns. */
const VARIANTS = ['no firewall', 'cgfw', 'cgfw, accelerate'] as const;

async function measure(cgroup: string, shape: Shape, seconds: number): Promise<Measured> {
  const argv = [shape.kind, String(seconds), String(shape.bytes), ...(shape.onOne ? ['one'] : [])];
  const { stdout } = await must([join(BUILT, 'stream'), ...argv], { cgroup });
  return JSON.parse(stdout) as Measured;
}

/** Each variant in a cgroup of its own, taking turns, each time in new processes. */
async function compare(ground: Ground, shape: Shape, mode: Mode): Promise<Row[]> {
  const rounds = mode === 'quick' ? 3 : 9;
  const seconds = mode === 'quick' ? 0.3 : 1;
  const [, plain, accelerated] = VARIANTS.map((_, i) => ground.cgroup(`variant${String(i)}`));
  await apply(
    ground,
    policyText([
      { name: 'plain', cgroups: [plain] },
      { name: 'accelerated', cgroups: [accelerated], accelerate: true },
    ]),
  );
  const samples = VARIANTS.map((): Measured[] => []);
  for (let round = 0; round < rounds; round++)
    for (const i of VARIANTS.keys())
      samples[i]?.push(
        await measure(ground.directory(ground.cgroup(`variant${String(i)}`)), shape, seconds),
      );
  return VARIANTS.flatMap((variant, i) =>
    rowsOf(variant, shape, samples[i] ?? [], samples[0] ?? []),
  );
}

function rowsOf(
  variant: string,
  { name, kind, bytes }: Shape,
  samples: readonly Measured[],
  base: readonly Measured[],
): Row[] {
  const speed =
    kind === 'pong'
      ? rowOf(
          variant,
          `${name}: time`,
          'ns',
          samples.map(({ ns }) => ns),
        )
      : rowOf(
          variant,
          `${name}: rate`,
          'Gbit/s',
          samples.map(({ ns }) => (bytes * 8) / ns),
        );
  const ratios = samples.map(({ ns }, round) => (base[round]?.ns ?? NaN) / ns);
  return [
    speed,
    rowOf(variant, `${name}: over no firewall`, 'x', ratios),
    rowOf(
      variant,
      `${name}: CPU a KiB`,
      'ns',
      samples.map(({ cpuNsPerKib }) => cpuNsPerKib),
    ),
  ];
}

export const accelerate: Question = {
  name: 'accelerate',
  asks: 'What does acceleration give to local TCP, beside plain loopback TCP?',
  trials: (mode): Trial[] =>
    SHAPES.map((shape) => ({
      name: shape.name,
      timeoutS: 120,
      run: (ground) => compare(ground, shape, mode),
    })),
};
