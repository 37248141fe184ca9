import t from 'tap';
import { decodeBlob, encodeBlob } from '../../src/compile/blob.js';
import { compile } from '../../src/compile/compile.js';
import { cgroupPolicy, direction, policyOf, rule } from './build.js';

const small = compile(
  { ...policyOf([], [cgroupPolicy('web')]), text: 'version: 1 # é €\n' },
  new Map(),
);
const rules = Array.from({ length: 2000 }, (_, i) => rule('allow', 'any', [i, i]));
const large = compile(
  policyOf([], [cgroupPolicy('web', { egress: direction('drop', ...rules) })]),
  new Map(),
);

t.test('text and names come back as they went in', async (t) => {
  for (const program of [small, large]) {
    const { text, names } = decodeBlob(encodeBlob(program));
    t.equal(text, program.text);
    t.same(names, program.names);
  }
});

t.test('the names of a large policy are packed', async (t) => {
  t.ok(encodeBlob(large).length < JSON.stringify(large.names).length / 4);
});

t.test('what follows the blob in its table is ignored', async (t) => {
  const blob = encodeBlob(small);
  const table = new Uint8Array(8192).fill(0xff);
  table.set(blob, 64);
  t.same(decodeBlob(table.subarray(64)).names, small.names);
});

t.test('any changed byte is noticed', async (t) => {
  const blob = encodeBlob(small);
  for (let at = 0; at < blob.length; at++) {
    const damaged = blob.slice();
    damaged[at]! ^= 0x21;
    try {
      decodeBlob(damaged);
      t.fail(`byte ${at}`);
    } catch (error) {
      if ((error as { code?: string }).code !== 'abi') throw error;
    }
  }
});

t.test('a blob that is cut short is noticed', async (t) => {
  for (const length of [0, 3, 23, 24, 100]) {
    t.throws(() => decodeBlob(encodeBlob(small).subarray(0, length)), { code: 'abi' });
  }
});
