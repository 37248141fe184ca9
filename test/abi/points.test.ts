import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import * as points from '../../src/abi/points.js';

t.test('the service points are those of bpf/abi.h', async (t) => {
  const header = readFileSync(path.join(import.meta.dirname, '../../../bpf/abi.h'), 'utf8');
  const defined = [...header.matchAll(/^#define (POINT\w*) (\d+)/gm)].map(
    ([, name = '', value]) => [name, Number(value)],
  );
  t.ok(defined.length >= 7);
  t.same(Object.fromEntries(defined), { ...points });
});
