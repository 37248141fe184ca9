// How long one-shot commands take on a small policy.

import { cgfw, policyText, replace } from '../lib/cgfw.js';
import { run } from '../lib/run.js';
import type { Finished } from '../lib/run.js';
import { rowOf } from '../lib/stats.js';
import type { Ground } from '../lib/ground.js';
import type { Mode, Question, Row, Trial } from '../question.js';

async function measureVerbs(ground: Ground, mode: Mode): Promise<Row[]> {
  const times = mode === 'quick' ? 5 : 21;
  const cgroup = ground.cgroup('web');
  const file = ground.file('policy.yaml');
  replace(
    file,
    policyText(
      [
        {
          name: 'web',
          cgroups: [cgroup],
          egress: {
            default: 'reject',
            rules: [{ action: 'allow', to: 'corp', ports: ['5432/tcp', 'dns'] }],
          },
          ingress: {
            default: 'drop',
            rules: [{ action: 'allow', from: 'any', ports: ['443/tcp', '8000-8999/tcp'] }],
          },
        },
      ],
      { sets: { corp: ['10.0.0.0/8', 'fd00::/8'] }, services: { dns: [53] } },
    ),
  );
  const commands: readonly (readonly [name: string, command: () => Promise<Finished>])[] = [
    ['node -e 0', () => run([process.execPath, '-e', '0'])],
    ...['check', 'diff', 'status', 'apply'].map(
      (verb) => [verb, () => cgfw(ground, verb, file)] as const,
    ),
  ];
  const first = await cgfw(ground, 'apply', file);
  if (first.code !== 0) throw new Error(first.stderr);
  const samples = commands.map((): Finished[] => []);
  for (let i = 0; i < times; i++) {
    for (const [at, [name, command]] of commands.entries()) {
      const finished = await command();
      if (finished.code !== 0)
        throw new Error(`${name}: exit ${String(finished.code)}: ${finished.stderr}`);
      samples[at]?.push(finished);
    }
  }
  return commands.flatMap(([name], at) => [
    rowOf(name, 'time', 'ms', samples[at]?.map(({ wallMs }) => wallMs) ?? []),
    rowOf(name, 'peak memory', 'MB', samples[at]?.map(({ peakMb }) => peakMb) ?? []),
  ]);
}

export const verbs: Question = {
  name: 'verbs',
  asks: 'How long do one-shot commands take on a small policy that is in force?',
  trials: (mode): Trial[] => [
    { name: 'verbs', timeoutS: 120, run: (ground) => measureVerbs(ground, mode) },
  ],
};
