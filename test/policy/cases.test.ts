// Runs test/cases/*.txt. UPDATE_CASES=1 rewrites what is expected: read it then.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { readPolicy } from '../../src/policy/load.js';
import { parseNetset } from '../../src/policy/netset.js';
import { renderDiagnostic } from '../../src/policy/render.js';
import type { SetFile } from '../../src/policy/sets.js';
import { summarize } from './summarize.js';

const FOLDER = path.join(import.meta.dirname, '../../../test/cases');
const FILE = 'policy.yaml';

interface Case {
  readonly title: string;
  readonly input: string;
  readonly expected: string;
}

interface Given {
  readonly bytes: Uint8Array;
  readonly sets: Map<string, SetFile>;
  readonly addresses: readonly string[];
}

/** Cases begin with `=== TITLE`; `----` divides what is given from what is expected. */
function readCases(text: string): { preface: string; cases: readonly Case[] } {
  const [preface = '', ...parts] = text.split(/^=== /m);
  const cases = parts.map((part) => {
    const end = part.indexOf('\n');
    const [input = '', expected = ''] = part.slice(end + 1).split(/^----\n/m);
    return { title: part.slice(0, end), input, expected: expected.trimEnd() };
  });
  return { preface, cases };
}

/** In a case whose title ends in `[escaped]`, \xNN stands for a byte. */
function bytesOf(text: string, isEscaped: boolean): Uint8Array {
  if (!isEscaped) return new TextEncoder().encode(text);
  return Uint8Array.from(
    Buffer.from(
      text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      ),
      'latin1',
    ),
  );
}

/** The policy, then `file PATH:` with the lines of a set file, `no file PATH: REASON`, or `host: ADDRESSES`. */
function readGiven({ title, input }: Case): Given {
  const isEscaped = title.endsWith('[escaped]');
  const sets = new Map<string, SetFile>();
  const addresses: string[] = [];
  const [policy = '', ...rest] = input.split(/^(?=(?:no )?file \S+: ?.*$|host: )/m);
  for (const part of rest) {
    const end = part.indexOf('\n');
    const [head, body] = [part.slice(0, end), part.slice(end + 1)];
    const [, no, name = '', reason = ''] = /^(no )?file (\S+): ?(.*)$/.exec(head) ?? [];
    if (head.startsWith('host: ')) addresses.push(...head.slice(6).split(' '));
    else if (no !== undefined) sets.set(name, { kind: 'failed', reason });
    else {
      const bytes = bytesOf(body, isEscaped);
      sets.set(name, {
        kind: 'read',
        sha256: createHash('sha256').update(bytes).digest('hex'),
        netset: parseNetset(bytes, name),
      });
    }
  }
  return { bytes: bytesOf(policy, isEscaped), sets, addresses };
}

function run(one: Case): string {
  const { bytes, sets, addresses } = readGiven(one);
  const { policy, diagnostics } = readPolicy(bytes, FILE, sets, { addresses });
  return [
    ...diagnostics.map((d) => renderDiagnostic(d)),
    ...(policy === undefined ? [] : [summarize(policy)]),
  ].join('\n');
}

const isUpdate = process.env['UPDATE_CASES'] === '1';
let count = 0;
for (const name of readdirSync(FOLDER)
  .filter((file) => file.endsWith('.txt'))
  .sort()) {
  const file = path.join(FOLDER, name);
  const { preface, cases } = readCases(readFileSync(file, 'utf8'));
  t.test(name, async (t) => {
    for (const one of cases) t.equal(run(one), one.expected, one.title);
    t.equal(new Set(cases.map((one) => one.title)).size, cases.length, 'every title is used once');
  });
  count += cases.length;
  if (!isUpdate) continue;
  const texts = cases.map((one) => `=== ${one.title}\n${one.input}----\n${run(one)}\n`);
  writeFileSync(file, `${preface}${texts.join('\n')}`);
}

t.test('there are at least 160 cases', async (t) => {
  t.ok(count >= 160, `${count} cases`);
});
