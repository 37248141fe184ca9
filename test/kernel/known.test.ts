// A look at what is in force copies nothing where it is as it was written, and sees each byte that is not.

import t from 'tap';
import type { Program } from '../../src/compile/program.js';
import { slotOffset, TABLES, TEXT_HEADER } from '../../src/kernel/maps.js';
import type { TableMap } from '../../src/kernel/maps.js';
import { readState } from '../../src/kernel/read.js';
import { openCurrentSet } from '../../src/kernel/set.js';
import { policyText } from './traffic.js';
import { Sandbox } from './sandbox.js';

t.test('the program in force is known again, until a byte of it changes', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const rules = ['198.51.100.0/24', '203.0.113.7', '2001:db8::/40', '2001:db8::1'].map((to) => ({
    action: 'reject',
    to,
    ports: ['443/tcp'],
  }));
  await box.apply(
    policyText([
      { name: 'web', cgroups: [box.cgroup('web')], egress: { default: 'allow', rules } },
    ]),
  );
  const set = openCurrentSet(box.place.pinRoot)!;
  t.teardown(() => set.close());
  const read = (known: Program | null = null): Program | null =>
    readState(box.place, [], 'whole', [], known).program;
  const known = read()!;
  t.not(read(), known, 'read anew, it is another object');
  t.equal(read(known), known, 'known, it is the same one');
  t.equal(readState(box.place, [], 'names-only', [], known).program?.tables.roots.length, 0);

  const slot = set.generation & 1;
  const blobLength = set.maps.text.read(slotOffset('text', slot, set.capacity) + 8, 4);
  const textBytes = TEXT_HEADER + Buffer.from(blobLength).readUInt32LE();
  const places: (readonly [map: TableMap, offset: number])[] = [
    ...TABLES.filter((table) => known.tables[table].length > 0).flatMap((table) => {
      const { byteLength } = known.tables[table];
      return [0, byteLength >> 1, byteLength - 1].map((offset) => [table, offset] as const);
    }),
    ...[0, 4, 8, 40, TEXT_HEADER, textBytes - 1].map((offset) => ['text', offset] as const),
  ];
  t.ok(places.length > 6 + 3 * 5);
  for (const [table, offset] of places) {
    const map = set.maps[table];
    const at = slotOffset(table, slot, set.capacity) + offset;
    const [byte = 0] = map.read(at, 1);
    map.write(at, Uint8Array.of(byte ^ 0x10));
    t.equal(read(known), null, `byte ${String(offset)} of ${table}`);
    map.write(at, Uint8Array.of(byte));
    t.equal(read(known), known, `byte ${String(offset)} of ${table} is back`);
  }
  await box.apply(
    policyText([{ name: 'web', cgroups: [box.cgroup('web')], egress: { default: 'allow' } }]),
  );
  t.match(read(known), { names: { rules: { length: Number } } });
  t.not(read(known)?.text, known.text, 'another policy is read');
});
