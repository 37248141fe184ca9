import fc from 'fast-check';
import t from 'tap';
import { Membership } from '../../src/compile/membership.js';

t.test('two sets have the same id exactly when they have the same members', async () => {
  const steps = fc
    .integer({ min: 1, max: 400 })
    .chain((size) => fc.tuple(fc.constant(size), fc.array(fc.nat(size - 1), { maxLength: 200 })));
  fc.assert(
    fc.property(steps, ([size, members]) => {
      const membership = new Membership(size);
      const present = new Set<number>();
      const idOf = new Map<string, number>([['', membership.id]]);
      for (const member of members) {
        membership.toggle(member);
        if (!present.delete(member)) present.add(member);
        const sorted = [...present].sort((a, b) => a - b);
        const known = idOf.get(sorted.join());
        if (known === undefined && [...idOf.values()].includes(membership.id)) return false;
        if (known !== undefined && known !== membership.id) return false;
        idOf.set(sorted.join(), membership.id);
        if (membership.membersOf(membership.id).join() !== sorted.join()) return false;
        if (membership.countOf(membership.id) !== sorted.length) return false;
      }
      membership.clear();
      return membership.id === idOf.get('');
    }),
  );
});

t.test('a set of no lists is empty', async (t) => {
  const membership = new Membership(0);
  t.same(membership.membersOf(membership.id), []);
});
