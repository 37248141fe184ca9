import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { PolicyFile } from '../../src/source/policy-file.js';

const ROOT = 0;

const POLICY = `version: 1
sets:
  feed: {file: feed.netset}
policies:
  - name: web
    cgroups: [web.slice]
    egress:
      default: allow
      rules: [{action: drop, to: feed}]
`;

/** A folder with a policy and its set file, both root's own. */
function place(t: Test): { folder: string; file: PolicyFile; codes: () => string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'cgfw-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'policy.yaml'), POLICY, { mode: 0o644 });
  writeFileSync(join(folder, 'feed.netset'), '198.51.100.7\n', { mode: 0o644 });
  const file = new PolicyFile(join(folder, 'policy.yaml'), ROOT);
  return { folder, file, codes: () => file.read().diagnostics.map(({ code }) => code) };
}

t.test('a policy that others can write is refused, until that is mended', async (t) => {
  const { folder, codes } = place(t);
  const path = join(folder, 'policy.yaml');
  t.same(codes(), []);
  chmodSync(path, 0o664);
  t.same(codes(), ['unsafe-owner'], 'writable by a group');
  chmodSync(path, 0o646);
  t.same(codes(), ['unsafe-owner'], 'writable by all');
  chmodSync(path, 0o600);
  t.same(codes(), []);
  chownSync(path, 65534, 0);
  t.same(codes(), ['unsafe-owner'], 'owned by another');
  chownSync(path, 0, 0);
  t.same(codes(), []);
});

t.test('a set file that others can write is refused in the same way', async (t) => {
  const { folder, file, codes } = place(t);
  chmodSync(join(folder, 'feed.netset'), 0o666);
  t.same(codes(), ['set-file']);
  t.match(file.read().diagnostics[0], {
    message: /others can write it/,
    fix: /chmod go-w/,
    at: { line: 3 },
  });
  chmodSync(join(folder, 'feed.netset'), 0o644);
  t.same(codes(), []);
});

t.test('who is not root may read what others can write: it is theirs to check', async (t) => {
  const { folder } = place(t);
  chmodSync(join(folder, 'policy.yaml'), 0o666);
  t.same(new PolicyFile(join(folder, 'policy.yaml'), 1000).read().diagnostics, []);
});

t.test('a file that is absent, or is none, is unreadable, with what to do', async (t) => {
  const { folder, codes } = place(t);
  rmSync(join(folder, 'policy.yaml'));
  t.same(codes(), ['unreadable']);
  mkdirSync(join(folder, 'policy.yaml'));
  t.same(codes(), ['unreadable']);
});

t.test('the same content gives the very same reading, other content another', async (t) => {
  const { folder, file } = place(t);
  const first = file.read();
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  t.equal(file.read(), first);
  writeFileSync(join(folder, 'feed.netset'), '198.51.100.8\n');
  const second = file.read();
  t.not(second, first);
  t.not(second.policy?.hash, first.policy?.hash, 'the hash covers set files');
});
