// What is refused before the YAML parser runs, and that all of it is quick to refuse.

import t from 'tap';
import { readPolicy } from '../../src/policy/load.js';
import { MAX_BYTES } from '../../src/policy/decode.js';
import { parseDocument } from '../../src/policy/parse.js';
import { MAX_KEYS, MAX_TOKENS, MAX_VALUE } from '../../src/policy/scan.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const codes = (text: string): string =>
  [...new Set(readPolicy(encode(text), 'f', new Map()).diagnostics.map((d) => d.code))].join();

t.test('a file of more than 8 MiB is too large', async (t) => {
  const { diagnostics, tree } = parseDocument(new Uint8Array(MAX_BYTES + 1), 'f');
  t.equal(tree, undefined);
  t.match(diagnostics, [{ code: 'too-large', at: { file: 'f', line: 1 } }]);
});

t.test('a file may have 50,000 keys and no more', async (t) => {
  const keys = (count: number): string =>
    Array.from({ length: count }, (_, i) => `k${i}:\n`).join('');
  t.equal(parseDocument(encode(keys(MAX_KEYS)), 'f').diagnostics.length, 0);
  t.equal(codes(keys(MAX_KEYS + 1)), 'too-many-keys');
});

t.test('a file may have 400,000 tokens and no more', async (t) => {
  t.equal(codes(`a: [${'1,'.repeat(MAX_TOKENS / 2)}]`), 'too-many-keys');
});

t.test('one value may have 65,536 characters and no more', async (t) => {
  t.equal(codes('x'.repeat(MAX_VALUE)), 'wrong-type');
  for (const value of [
    `${'x'.repeat(MAX_VALUE)}y`,
    `"${'x'.repeat(MAX_VALUE)}"`,
    `a: |\n${'  x\n'.repeat(MAX_VALUE)}`,
  ])
    t.equal(codes(value), 'too-large');
});

t.test('nesting in every style is too deep long before the stack is', async (t) => {
  const deep = [
    '['.repeat(100_000),
    '{a: '.repeat(100_000),
    '- '.repeat(100_000),
    '? '.repeat(100_000),
    'a:\n'.replace(/^/, '') +
      Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
  ];
  for (const text of deep) t.equal(codes(text), 'too-deep', text.slice(0, 10));
});

t.test('a policy nested as deep as a policy goes is not too deep', async (t) => {
  const text = `version: 1
policies:
-
  name: web
  cgroups:
    - web
  egress:
    default: drop
    rules:
      -
        action: allow
        to:
          -
            192.0.2.1
        ports: [ { a: [ 1 ] } ]
`;
  t.equal(codes(text), 'wrong-type');
});

t.test('keys after a long run of lists and maps are not counted as nesting', async (t) => {
  const rules = Array.from(
    { length: 300 },
    (_, i) =>
      `        - action: allow\n          to:\n            - 192.0.2.${i % 256}\n          ports:\n            - ${i + 1}/tcp\n`,
  ).join('');
  t.equal(
    codes(
      `version: 1\npolicies:\n  - name: web\n    cgroups: [web]\n    egress:\n      default: drop\n      rules:\n${rules}`,
    ),
    '',
  );
});

t.test('1,000 mistakes are told, and that there are more', async (t) => {
  const text = `version: 1\nsets:\n  s: [${'x, '.repeat(3000)}]\npolicies:\n  - {name: web, cgroups: [web]}\n`;
  const { diagnostics } = readPolicy(encode(text), 'f', new Map());
  t.equal(diagnostics.length, 1001);
  t.equal(diagnostics.at(-1)?.code, 'too-many-mistakes');
});

t.test('junk of every kind is refused without a throw', async (t) => {
  for (const unit of [
    '\n',
    '"',
    ': ',
    '[]',
    '&a ',
    '*a ',
    '! ',
    '#\n',
    '\t',
    '%a\n',
    '---\n',
    ',',
    '\0',
    "'",
    '|\n',
    '<<: ',
    '}',
    'é',
    '- a: b\n',
  ]) {
    for (const count of [1, 2, 3, 50, 5000])
      t.not(codes(unit.repeat(count)), '', JSON.stringify(unit));
  }
});
