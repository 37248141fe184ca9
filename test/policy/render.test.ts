import t from 'tap';
import type { Diagnostic } from '../../src/base/error.js';
import { diagnosticsToJson, renderDiagnostic } from '../../src/policy/render.js';

const at = (text: string, column: number, length: number): Diagnostic => ({
  severity: 'error',
  code: 'port-range',
  message: 'port 70000 is above 65535',
  fix: 'use a port from 1 to 65535',
  at: { file: '/etc/cgfw/policy.yaml', line: 14, column, length, text },
});

t.test('a diagnostic has place, code, source line, caret and fix', async (t) => {
  t.equal(
    renderDiagnostic(at('      ports: [70000]', 15, 5)),
    `/etc/cgfw/policy.yaml:14:15: error[port-range]: port 70000 is above 65535
   14 |       ports: [70000]
      |               ^^^^^
  fix: use a port from 1 to 65535`,
  );
});

t.test('a diagnostic without a place is two lines', async (t) => {
  t.equal(
    renderDiagnostic({ severity: 'warning', code: 'set-file', message: 'm', fix: 'f' }),
    'warning[set-file]: m\n  fix: f',
  );
});

t.test('colour is only added', async (t) => {
  const d = at('      ports: [70000]', 15, 5);
  const painted = renderDiagnostic(d, { color: true });
  t.match(painted, /\x1b\[31m\^+\x1b\[0m/);
  t.equal(painted.replace(/\x1b\[\d+m/g, ''), renderDiagnostic(d));
});

t.test('the caret stands below the mistake after tabs, wide characters and marks', async (t) => {
  const caret = (text: string, column: number): number =>
    renderDiagnostic(at(text, column, 1))
      .split('\n')[2]
      ?.indexOf('^') ?? -1;
  t.equal(caret('\tx', 2), 8 + 4);
  t.equal(caret('日本x', 3), 8 + 4);
  t.equal(caret('😀x', 2), 8 + 2);
  t.equal(caret('e\u0301x', 3), 8 + 1);
});

t.test('a long line is cut around the caret', async (t) => {
  const lines = renderDiagnostic(at(`${'a'.repeat(500)}BAD${'b'.repeat(500)}`, 501, 3)).split('\n');
  t.equal(lines[1], `   14 | ...${'a'.repeat(30)}BAD${'b'.repeat(67)}...`);
  t.equal(lines[2], `      | ${' '.repeat(33)}^^^`);
});

t.test('control characters of the file cannot reach the terminal', async (t) => {
  t.notMatch(renderDiagnostic(at('a\x1b[31mb\x07', 2, 1)), /[\x00-\x09\x0b-\x1f]/);
});

t.test('a diagnostic is plain data in JSON', async (t) => {
  t.same(diagnosticsToJson([at('x', 1, 1)]), [
    {
      severity: 'error',
      code: 'port-range',
      message: 'port 70000 is above 65535',
      fix: 'use a port from 1 to 65535',
      file: '/etc/cgfw/policy.yaml',
      line: 14,
      column: 1,
      length: 1,
    },
  ]);
});
