import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { matchesSelector, ownerFinder, parseSelector } from '../../src/policy/selector.js';

const name = fc
  .string({ unit: fc.constantFrom('a', 'b', '.', '-', '\\', '[', '+'), minLength: 1, maxLength: 4 })
  .filter((s) => s !== '.' && s !== '..');
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const glob = fc
  .string({ unit: fc.constantFrom('a', 'b', '*', '?', '.'), minLength: 1, maxLength: 4 })
  .map((s) => s.replace(/\*+/g, '*'));
const selector = fc
  .array(fc.oneof(glob, fc.constant('**')), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join('/'));

/** The slow truth: a selector as a regular expression. */
function reference(text: string): RegExp {
  const parts = text.split('/').map((part) =>
    part === '**'
      ? '**'
      : part
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '[^/]*')
          .replaceAll('?', '[^/]'),
  );
  let pattern = '';
  for (const [i, part] of parts.entries()) {
    if (part === '**') pattern += i === 0 ? '(?:[^/]+(?:/[^/]+)*)?' : '(?:/[^/]+)*';
    else
      pattern +=
        i === 0
          ? part
          : parts.slice(0, i).every((p) => p === '**')
            ? `(?:(?<=[^/])/|(?<![^]))${part}`
            : `/${part}`;
  }
  return new RegExp(`^${pattern}$`, 'u');
}

function ownerOf<T extends { readonly cgroups: readonly string[] }>(
  policies: readonly T[],
  path: string,
): T | undefined {
  return policies[ownerFinder(policies)(path)];
}

t.test('a selector matches what its regular expression matches', async (t) => {
  fc.assert(
    fc.property(
      selector,
      fc.oneof(
        path,
        fc
          .array(fc.constantFrom('a', 'b', 'ab', 'ba', 'a.b'), { minLength: 1, maxLength: 5 })
          .map((p) => p.join('/')),
      ),
      (text, cgroup) => {
        assert.equal(
          matchesSelector(text, cgroup),
          reference(text).test(cgroup),
          `${text} on ${cgroup}`,
        );
      },
    ),
    { numRuns: 5000 },
  );
  t.pass('holds');
});

t.test('a literal selector matches its own path and nothing else', async (t) => {
  fc.assert(
    fc.property(path, path, (a, b) => {
      assert.ok(matchesSelector(a, a));
      assert.equal(matchesSelector(a, b), a === b);
      assert.ok(
        matchesSelector('**', a) &&
          matchesSelector(`**/${a}`, a) &&
          matchesSelector(`${a}/**`, a) &&
          matchesSelector(`${a}/**`, `${a}/x/y`),
      );
    }),
    { numRuns: 500 },
  );
  t.pass('holds');
});

t.test('a star does not cross a slash, and the root matches nothing', async (t) => {
  t.ok(matchesSelector('system.slice/docker-*.scope', 'system.slice/docker-0a1b.scope'));
  t.notOk(matchesSelector('system.slice/*', 'system.slice/a/b'));
  t.notOk(matchesSelector('system.slice/*', 'system.slice'));
  t.ok(matchesSelector('job-?', 'job-é'));
  for (const text of ['**', '*', '']) t.notOk(matchesSelector(text, ''));
});

t.test('a hostile selector costs no more than its length times that of the path', async (t) => {
  t.notOk(matchesSelector('*a'.repeat(100) + 'b', 'a'.repeat(250)));
  t.notOk(matchesSelector(`${'**/a/'.repeat(100)}b`, 'a/'.repeat(1000) + 'a'));
});

t.test('the first policy with a selector that matches owns a cgroup', async (t) => {
  const policies = [{ cgroups: ['a/b'] }, { cgroups: ['x', 'a/*'] }, { cgroups: ['**'] }];
  t.equal(ownerOf(policies, 'a/b'), policies[0]);
  t.equal(ownerOf(policies, 'a/c'), policies[1]);
  t.equal(ownerOf(policies, 'a/b/c'), policies[2]);
  t.equal(ownerOf(policies.slice(0, 2), 'z'), undefined);
  fc.assert(
    fc.property(
      fc.array(fc.record({ cgroups: fc.array(selector, { maxLength: 3 }) }), { maxLength: 5 }),
      path,
      (all, cgroup) => {
        const owner = ownerOf(all, cgroup);
        const index = owner === undefined ? all.length : all.indexOf(owner);
        assert.ok(
          all.slice(0, index).every((p) => !p.cgroups.some((s) => matchesSelector(s, cgroup))),
        );
        assert.ok(owner === undefined || owner.cgroups.some((s) => matchesSelector(s, cgroup)));
      },
    ),
    { numRuns: 500 },
  );
  t.pass('holds');
});

t.test('a selector that is read is its own normal form', async (t) => {
  fc.assert(
    fc.property(fc.oneof(selector, path, fc.string()), (text) => {
      const parsed = parseSelector(text);
      if (parsed.kind === 'selector') assert.deepEqual(parseSelector(parsed.text), parsed);
      else assert.ok(parsed.message.length > 0 && parsed.fix.length > 0);
    }),
    { numRuns: 1000 },
  );
  t.pass('holds');
});
