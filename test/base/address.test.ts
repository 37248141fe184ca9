import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isIPv4, isIPv6 } from 'node:net';
import t from 'tap';
import { formatAddress, parseAddress, parsePrefix } from '../../src/base/address.js';

const word = fc.integer({ min: 0, max: 0xffffffff });
const v6Words = fc.tuple(
  ...[0, 1, 2, 3].map(() => fc.oneof(word, fc.constantFrom(0, 1, 0xffff, 0xffff0000))),
);

t.test('an IPv4 address that is written is read back', async (t) => {
  fc.assert(
    fc.property(word, (a) => {
      const parsed = parsePrefix(formatAddress(4, [a]));
      assert.ok(
        parsed.kind === 'prefix' &&
          parsed.first[0] === a &&
          parsed.last[0] === a &&
          !parsed.hasHostBits,
      );
    }),
    { numRuns: 500 },
  );
  t.pass('holds');
});

t.test('an IPv6 address that is written is read back, unless it is IPv4-mapped', async (t) => {
  fc.assert(
    fc.property(v6Words, (words) => {
      const parsed = parsePrefix(formatAddress(6, words));
      const isMapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
      assert.ok(
        isMapped
          ? parsed.kind === 'bad'
          : parsed.kind === 'prefix' && parsed.first.every((w, i) => w === words[i]),
      );
    }),
    { numRuns: 1000 },
  );
  t.pass('holds');
});

t.test('what the platform takes for an IPv4 address is what we take for one', async (t) => {
  const text = fc.array(
    fc.constantFrom('0', '1', '9', '25', '255', '256', '.', '.', '.', '00', 'x', ' '),
    { maxLength: 9 },
  );
  fc.assert(
    fc.property(text, (parts) => {
      const written = parts.join('');
      assert.equal(parseAddress(written).kind === 'prefix', isIPv4(written), written);
    }),
    { numRuns: 3000 },
  );
  t.pass('holds');
});

t.test(
  'what the platform takes for an IPv6 address is what we take for one, but for zones and IPv4-mapped',
  async (t) => {
    const text = fc.array(
      fc.constantFrom('0', '1', 'f', 'ffff', '12345', ':', ':', '::', '1.2.3.4', 'g', '.'),
      { maxLength: 17 },
    );
    fc.assert(
      fc.property(text, (parts) => {
        const written = parts.join('');
        const parsed = parseAddress(written);
        if (
          !written.includes(':') ||
          (parsed.kind === 'bad' && parsed.reason.includes('IPv4-mapped'))
        )
          return;
        assert.equal(parsed.kind === 'prefix', isIPv6(written), written);
      }),
      { numRuns: 5000 },
    );
    t.pass('holds');
  },
);

t.test('addresses are written as RFC 5952 says', async (t) => {
  const cases: Record<string, string> = {
    '2001:db8:0:0:0:0:0:1': '2001:db8::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:DB8::A': '2001:db8::a',
    '0:0:0:0:0:0:0:0': '::',
    '1::': '1::',
    '::1.2.3.4': '::102:304',
  };
  for (const [written, canonical] of Object.entries(cases)) {
    const parsed = parsePrefix(written);
    t.equal(parsed.kind === 'prefix' && parsed.text, canonical, written);
  }
  t.equal(formatAddress(6, [0, 0, 0xffff, 0x01020304]), '::ffff:1.2.3.4');
});

t.test(
  'a prefix covers what shares its bits, and tells host bits with the correction',
  async (t) => {
    const parsed = parsePrefix('10.1.2.3/20');
    t.match(parsed, {
      kind: 'prefix',
      bits: 20,
      hasHostBits: true,
      text: '10.1.0.0/20',
      first: [0x0a010000],
      last: [0x0a010fff],
    });
    const six = parsePrefix('2001:db8::1/36');
    t.match(six, {
      hasHostBits: true,
      text: '2001:db8::/36',
      last: [0x20010db8, 0x0fffffff, 0xffffffff, 0xffffffff],
    });
    t.match(parsePrefix('0.0.0.0/0'), { hasHostBits: false, first: [0], last: [0xffffffff] });
  },
);

t.test('an address where one is expected has no length', async (t) => {
  t.match(parseAddress('10.0.0.0/8'), { kind: 'bad', fix: 'write 10.0.0.0' });
});

t.test('every text is read or refused with a reason and a fix, never thrown', async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parsePrefix(text);
      assert.ok(parsed.kind === 'prefix' || (parsed.reason.length > 0 && parsed.fix.length > 0));
    }),
    { numRuns: 2000 },
  );
  t.pass('holds');
});
