import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { parsePrefix, type Prefix } from '../../src/base/address.js';
import { NO_ADDRESSES, rangesOf } from '../../src/base/ranges.js';
import { parseNetset } from '../../src/policy/netset.js';

const parse = (text: string): ReturnType<typeof parseNetset> =>
  parseNetset(new TextEncoder().encode(text), 's.netset');

const part = fc.constantFrom(
  '0',
  '1',
  '10',
  '255',
  '256',
  '01',
  '.',
  '.',
  ':',
  ':',
  '::',
  'ffff',
  'abcd',
  '12345',
  '/',
  '8',
  '32',
  '64',
  '129',
  '1.2.3.4',
  ' ',
  'x',
  '%',
);
const line = fc.oneof(
  fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
  fc
    .tuple(fc.ipV4(), fc.integer({ min: 0, max: 33 }))
    .map(([address, bits]) => `${address}/${bits}`),
  fc
    .tuple(fc.ipV6(), fc.integer({ min: 0, max: 129 }))
    .map(([address, bits]) => `${address}/${bits}`),
  fc.ipV4(),
  fc.ipV6(),
);

t.test('a line is read from bytes just as the strict reader reads its text', async (t) => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      const netset = parse(lines.join('\n'));
      const parsed = lines
        .map((text) => text.trim())
        .filter((text) => text !== '')
        .map((text) => parsePrefix(text));
      const prefixes = parsed.filter((p): p is Prefix => p.kind === 'prefix');
      assert.equal(netset.entries, prefixes.length, lines.join('|'));
      assert.equal(netset.diagnostics.length, parsed.length - prefixes.length, lines.join('|'));
      assert.equal(
        netset.normalised,
        prefixes.filter((p) => p.hasHostBits).length,
        lines.join('|'),
      );
      assert.deepEqual(netset.ranges, rangesOf(prefixes));
    }),
    { numRuns: 3000 },
  );
  t.pass('holds');
});

t.test(
  'comments, blank lines, CRLF, white space and a byte order mark are no entries',
  async (t) => {
    const netset = parse(
      '\ufeff# head\r\n\r\n ; more\n\t192.0.2.1 \t# here\r\n2001:db8::/32;there\n192.0.2.2',
    );
    t.match(netset, { entries: 3, normalised: 0, diagnostics: [] });
  },
);

t.test('an empty file is an empty set', async (t) => {
  for (const text of ['', '\n', '\ufeff', '# nothing'])
    t.match(parse(text), { entries: 0, ranges: NO_ADDRESSES, diagnostics: [] });
});

t.test('the first 10 bad lines are told at their place, the others counted', async (t) => {
  const { diagnostics } = parse(`192.0.2.1\n${'  nonsense # x\n'.repeat(25)}`);
  t.equal(diagnostics.length, 11);
  t.match(diagnostics[0], {
    code: 'address',
    at: { file: 's.netset', line: 2, column: 3, length: 8, text: '  nonsense # x' },
  });
  t.match(diagnostics[10], { code: 'set-file', message: /15 more lines/ });
});

t.test('the first corrected prefix is told with its line', async (t) => {
  t.match(parse('192.0.2.0/24\n192.0.2.1/24 # x\n2001:db8::1/32\n'), {
    normalised: 2,
    firstNormalised: { line: 2, found: '192.0.2.1/24', corrected: '192.0.2.0/24' },
  });
});

t.test('every sequence of bytes is read or refused, never thrown', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const netset = parseNetset(bytes, 'f');
      assert.ok(netset.entries >= 0);
    }),
    { numRuns: 2000 },
  );
  t.pass('holds');
});

t.test('a new version read with the help of the old one is read as if alone', async (t) => {
  const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\n'));
  const versions = fc.tuple(text, text, text, text, fc.boolean());
  fc.assert(
    fc.property(versions, ([head, old, young, tail, ends]) => {
      const bytes = (middle: string): Uint8Array =>
        new TextEncoder().encode([head, middle, tail].join('\n') + (ends ? '\n' : ''));
      const previous = parseNetset(bytes(old), 'f', undefined, 16);
      const { chunks, ...helped } = parseNetset(bytes(young), 'f', previous, 16);
      const { chunks: _, ...alone } = parseNetset(bytes(young), 'f');
      assert.deepEqual(helped, alone);
      assert.equal(
        Buffer.concat(chunks.map((chunk) => chunk.bytes)).toString(),
        Buffer.from(bytes(young)).toString(),
      );
    }),
    { numRuns: 2000 },
  );
  t.pass('property holds');
});

t.test('one changed line leaves all other chunks as they were', async (t) => {
  const lines = Array.from({ length: 1000 }, (_, i) => `10.0.${String(i >> 8)}.${String(i & 255)}`);
  const parseLines = (all: readonly string[], previous?: ReturnType<typeof parse>) =>
    parseNetset(new TextEncoder().encode(all.join('\n')), 'f', previous, 256);
  const before = parseLines(lines);
  const after = parseLines([...lines.slice(0, 500), '192.0.2.1', ...lines.slice(500)], before);
  const known = new Set(before.chunks.map((chunk) => chunk.v4));
  const fresh = after.chunks.filter((chunk) => !known.has(chunk.v4));
  t.equal(after.entries, 1001);
  t.ok(fresh.length <= 3, `${String(fresh.length)} of ${String(after.chunks.length)} chunks read`);
});
