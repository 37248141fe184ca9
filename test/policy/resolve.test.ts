import { createHash } from 'node:crypto';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { readPolicy } from '../../src/policy/load.js';
import { parseNetset } from '../../src/policy/netset.js';
import { parseDocument } from '../../src/policy/parse.js';
import { resolvePolicy } from '../../src/policy/resolve.js';
import { setFilesOf, setSourcesOf, type SetFile } from '../../src/policy/sets.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const sha256 = (...parts: string[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
const fileOf = (text: string): SetFile => ({
  kind: 'read',
  sha256: sha256(text),
  netset: parseNetset(encode(text), 'f'),
});

const TEXT = `version: 1
sets:
  inline: [192.0.2.1]
  feed: {file: feeds/a.netset, guard: 50%}
  other: {file: /etc/b.netset}
policies:
  - name: web
    cgroups: [/web/]
    egress:
      default: reject
      rules:
        - {action: drop, to: feed}
        - {action: allow, to: [inline, 198.51.100.1], ports: [53]}
    ingress:
      rules: []
      default: drop
`;
const FILES = new Map([
  ['feeds/a.netset', fileOf('203.0.113.1\n')],
  ['/etc/b.netset', fileOf('203.0.113.2\n')],
]);

t.test('the policy says what the text says, with lines', async (t) => {
  const { policy, diagnostics } = readPolicy(encode(TEXT), '/etc/cgfw/policy.yaml', FILES);
  t.same(diagnostics, []);
  t.match(policy, {
    text: TEXT,
    origin: '/etc/cgfw/policy.yaml',
    lists: [{ name: 'feed' }, { name: 'inline' }, { name: 'web egress#1' }],
    policies: [
      {
        name: 'web',
        line: 7,
        cgroups: ['web'],
        mode: 'enforce',
        log: 'denied',
        raw: 'deny',
        egress: {
          isDeclared: true,
          default: 'reject',
          defaultLine: 10,
          rules: [
            {
              index: 0,
              line: 12,
              action: 'drop',
              lists: [0],
              services: 'any',
              summary: 'drop to feed',
            },
            {
              index: 1,
              line: 13,
              action: 'allow',
              lists: [1, 2],
              services: Uint32Array.of(53, 53, 65589, 65589),
              summary: 'allow to inline, 198.51.100.1 ports 53',
            },
          ],
        },
        ingress: { isDeclared: true, default: 'drop', defaultLine: 16, rules: [] },
      },
    ],
  });
});

t.test('a direction that is left out allows all and has the line of its policy', async (t) => {
  const { policy } = readPolicy(
    encode('version: 1\npolicies:\n  - {name: a, cgroups: [a]}\n'),
    'f',
    new Map(),
  );
  t.match(policy?.policies[0]?.egress, {
    isDeclared: false,
    default: 'allow',
    defaultLine: 3,
    rules: [],
  });
});

t.test('the hash is over the text and every set file', async (t) => {
  const hash = (text: string, files = FILES): string | undefined =>
    readPolicy(encode(text), 'f', files).policy?.hash;
  t.match(hash(TEXT), /^[0-9a-f]{64}$/);
  t.equal(hash(TEXT), hash(TEXT));
  t.not(hash(TEXT), hash(`${TEXT}# more\n`));
  t.not(hash(TEXT), hash(TEXT, new Map([...FILES, ['feeds/a.netset', fileOf('203.0.113.1\n\n')]])));
});

t.test('set files and their guards are told from the tree alone', async (t) => {
  const { tree } = parseDocument(encode(TEXT), 'f');
  if (tree === undefined) return t.fail('no tree');
  t.match(setFilesOf(tree), [{ path: 'feeds/a.netset' }, { path: '/etc/b.netset' }]);
  t.same(setSourcesOf(tree), [
    { name: 'feed', file: 'feeds/a.netset', guard: 50 },
    { name: 'other', file: '/etc/b.netset' },
  ]);
});

t.test('a set file that nobody read is an error', async (t) => {
  const { policy, diagnostics } = readPolicy(encode(TEXT), 'f', new Map());
  t.equal(policy, undefined);
  t.match(diagnostics, [{ code: 'set-file' }, { code: 'set-file' }]);
});

t.test('a tree of any shape is resolved or refused, never thrown', async (t) => {
  const key = fc.constantFrom(
    'version',
    'sets',
    'services',
    'policies',
    'name',
    'cgroups',
    'egress',
    'ingress',
    'default',
    'rules',
    'action',
    'to',
    'from',
    'ports',
    'file',
    'guard',
    'a',
    'web',
  );
  const leaf = fc.oneof(
    fc.constantFrom(
      1,
      'web',
      'any',
      'allow',
      'drop',
      '10.0.0.0/8',
      '80/tcp',
      null,
      true,
      1.5,
      -0,
      '',
    ),
    fc.string(),
  );
  const { document } = fc.letrec((tie) => ({
    document: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      leaf,
      fc.array(tie('document'), { maxLength: 3 }),
      fc.dictionary(key, tie('document'), { maxKeys: 5, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(document, (value) => {
      const bytes = encode(JSON.stringify(value));
      const { tree } = parseDocument(bytes, 'f');
      if (tree !== undefined) resolvePolicy(tree, new Map());
      const { policy, diagnostics } = readPolicy(bytes, 'f', new Map());
      assert.ok(policy !== undefined || diagnostics.length > 0);
      assert.ok(
        diagnostics.every(
          (d) =>
            d.at !== undefined &&
            d.at.line > 0 &&
            d.at.column > 0 &&
            d.at.length > 0 &&
            d.fix !== '',
        ),
      );
    }),
    { numRuns: 2000 },
  );
  t.pass('holds');
});
