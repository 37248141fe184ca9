// docs/errors.md and the tests know every code, and no other.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { DIAGNOSTIC_CODES, ERROR_CODES } from '../../src/base/error.js';

const ROOT = path.join(import.meta.dirname, '../../..');

function readAll(folder: string): string {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(
      (entry) =>
        entry.isFile() && /\.(txt|test\.ts)$/.test(entry.name) && entry.name !== 'codes.test.ts',
    )
    .map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
}

t.test('docs/errors.md lists exactly the codes that exist', async (t) => {
  const docs = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');
  const [, diagnostics = '', errors = ''] = docs.split(/^## /m);
  const listed = (text: string): string[] =>
    [...text.matchAll(/^### `([a-z0-9-]+)`$/gm)].map(([, code = '']) => code).sort();
  t.same(listed(diagnostics), [...DIAGNOSTIC_CODES].sort());
  t.same(listed(errors), [...ERROR_CODES].sort());
});

t.test('every diagnostic code is met by a case or a test', async (t) => {
  const tests = readAll(path.join(ROOT, 'test'));
  for (const code of DIAGNOSTIC_CODES) {
    t.ok(tests.includes(`[${code}]`) || tests.includes(`'${code}'`), code);
  }
});
