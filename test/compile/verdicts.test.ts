import fc from 'fast-check';
import t from 'tap';
import { compile } from '../../src/compile/compile.js';
import { verdictOf } from '../../src/compile/lookup.js';
import type { Program } from '../../src/compile/program.js';
import { arbitraryPacket, arbitraryPolicy } from './arbitrary.js';
import { decide, type Decider, type Packet } from './reference.js';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

function decider(program: Program, packet: Packet): Decider {
  const { direction, family, words, point } = packet;
  const rule = verdictOf(program.tables, packet.policy + 1, direction, family, words, point);
  const name = program.names.rules[rule]!;
  if (name.policy !== packet.policy || name.direction !== direction || name.kind === 'raw') {
    throw new Error(`rule ${rule} belongs elsewhere: ${JSON.stringify(name)}`);
  }
  return name.kind === 'rule' ? name.index : name.kind;
}

t.test('the tables decide every packet as the first matching rule does', async (t) => {
  let packets = 0;
  const deciders = new Set<Decider>();
  const each = arbitraryPolicy().chain((policy) =>
    fc.tuple(
      fc.constant(policy),
      fc.array(arbitraryPacket(policy), { minLength: 150, maxLength: 250 }),
    ),
  );
  fc.assert(
    fc.property(each, ([policy, chosen]) => {
      const program = compile(policy, new Map());
      for (const packet of chosen) {
        const found = decider(program, packet);
        const wanted = decide(policy, packet);
        if (found !== wanted) {
          throw new Error(`${JSON.stringify(packet)}: ${found}, and not ${wanted}`);
        }
        deciders.add(found);
        packets++;
      }
    }),
    { seed, numRuns: 150, endOnFailure: true },
  );
  t.comment(`seed ${seed}: ${packets} packets, decided by ${[...deciders].join(' ')}`);
  t.ok(packets > 20_000);
  t.ok(deciders.has('default') && deciders.has('unparsable') && deciders.has(5));
});
