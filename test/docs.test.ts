// What README and docs say about the rest of the house is so.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { main } from '../src/cli/main.js';
import { VERBS } from '../src/cli/table.js';
import { PACKAGE_ROOT } from '../src/kernel/place.js';
import { readPolicy } from '../src/policy/load.js';

const read = (file: string): string => readFileSync(join(PACKAGE_ROOT, file), 'utf8');
const DOCS = [
  'README.md',
  ...readdirSync(join(PACKAGE_ROOT, 'docs')).map((file) => `docs/${file}`),
];
const EXAMPLES = ['config/policy.yaml', ...yamlFiles('config/examples')];
/** Where the packaged service expects the checkout. */
const INSTALLED = '/opt/cgfw/';

function yamlFiles(folder: string): string[] {
  return readdirSync(join(PACKAGE_ROOT, folder))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => `${folder}/${file}`);
}

/** What stands between fences or backquotes. */
function codeIn(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/```(?:sh|console)\n([^]*?)```/g)].map(
    ([, code = '']) => code,
  );
  const spans = [...markdown.replace(/```[^]*?```/g, '').matchAll(/`([^`\n]+)`/g)].map(
    ([, code = '']) => code,
  );
  return [...blocks, ...spans];
}

/** The verbs of command lines in code; `cgfw` as an argument of something else has none. */
function verbsIn(markdown: string): Set<string> {
  const said = codeIn(markdown).flatMap((code) => [
    ...code.matchAll(/(?:^|&& |npx |# )cgfw ([a-z]+)/gm),
  ]);
  return new Set(said.map(([, verb = '']) => verb));
}

/** A world without kernel or terminal, for verbs that only read files. */
async function run(argv: readonly string[]): Promise<{ code: number; output: string }> {
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  const code = await main(argv, {
    stdout: write,
    stderr: write,
    env: {},
    uid: -1,
    isTerminal: false,
    stop: new AbortController().signal,
    onReload: () => undefined,
  });
  return { code, output };
}

t.test('the docs name the verbs that exist, and no others', async (t) => {
  const known = VERBS.map(({ name }) => name).sort();
  const listed = [...read('README.md').matchAll(/^\| `cgfw ([a-z]+)` \|/gm)].map(
    ([, verb = '']) => verb,
  );
  t.same(listed.sort(), known, 'the table of the README lists each verb once');
  for (const doc of DOCS) {
    for (const verb of verbsIn(read(doc)))
      t.ok(known.includes(verb), `${doc} speaks of cgfw ${verb}`);
  }
  const explained = verbsIn(read('docs/operations.md'));
  for (const verb of known.filter((name) => name !== 'show' && name !== 'exec')) {
    t.ok(explained.has(verb), `docs/operations.md speaks of cgfw ${verb}`);
  }
});

t.test('every policy that is shipped passes check without a warning', async (t) => {
  for (const example of EXAMPLES) {
    const { code, output } = await run(['check', join(PACKAGE_ROOT, example)]);
    t.equal(code, 0, `${example}: ${output}`);
    t.notMatch(output, /error|warning/, example);
  }
});

t.test(
  'every command line in a shipped policy names a verb and an option that exist',
  async (t) => {
    for (const example of EXAMPLES) {
      for (const [line, verb = ''] of read(example).matchAll(/cgfw ([a-z]+).*/g)) {
        const found = VERBS.find(({ name }) => name === verb);
        t.ok(found, `${example}: ${line}`);
        const own = line.split(' -- ')[0]?.split('|')[0] ?? '';
        const options = found?.options.map(([flags]) => flags.split(/[ ,]/)[0]) ?? [];
        for (const [option] of own.matchAll(/--[a-z-]+/g))
          t.ok(options.includes(option), `${example}: ${line}`);
      }
    }
  },
);

t.test('the policy at the top of the README is valid and short', async (t) => {
  const [, policy = ''] = /```yaml\n([^]*?)```/.exec(read('README.md')) ?? [];
  const { diagnostics } = readPolicy(new TextEncoder().encode(policy), 'README.md', new Map());
  t.same(diagnostics, []);
  t.ok(policy.trim().split('\n').length <= 10);
  const [, line] = /web\.yaml:(\d+)\) allow to 10\.0\.0\.0\/8/.exec(read('README.md')) ?? [];
  t.match(
    policy.split('\n')[Number(line) - 1],
    /name: database/,
    'explain names the line of the rule',
  );
});

t.test('every whole policy in the docs is valid', async (t) => {
  for (const doc of DOCS) {
    for (const [, policy = ''] of read(doc).matchAll(/```yaml\n(version: 1\n[^]*?)```/g)) {
      const sets = new Map([
        ['feeds/blocklist.netset', { kind: 'failed', reason: 'not here', fix: '' } as const],
      ]);
      const { diagnostics } = readPolicy(new TextEncoder().encode(policy), doc, sets);
      t.same(
        diagnostics.filter(({ code }) => code !== 'set-file'),
        [],
        doc,
      );
    }
  }
});

t.test('every relative link leads somewhere', async (t) => {
  for (const doc of DOCS) {
    for (const [, target = ''] of read(doc).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? doc : join(dirname(doc), path);
      t.ok(existsSync(join(PACKAGE_ROOT, file)), `${doc} links to ${target}`);
      if (anchor !== undefined)
        t.ok(anchorsOf(read(file)).includes(anchor), `${doc} links to ${target}`);
    }
  }
});

function anchorsOf(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
}

t.test('the code map names every folder of src, and no other', async (t) => {
  const mapped = [...read('docs/architecture.md').matchAll(/^\| [\d.]+ \| `src\/([a-z]+)\/` \|/gm)];
  const folders = readdirSync(join(PACKAGE_ROOT, 'src')).filter((name) =>
    statSync(join(PACKAGE_ROOT, 'src', name)).isDirectory(),
  );
  t.same(mapped.map(([, folder]) => folder).sort(), folders.sort());
});

t.test('every path of the repository that the docs name exists', async (t) => {
  const roots = readdirSync(PACKAGE_ROOT).filter((name) =>
    statSync(join(PACKAGE_ROOT, name)).isDirectory(),
  );
  for (const doc of DOCS) {
    for (const [, path = ''] of read(doc).matchAll(/`([a-z][\w.-]*\/[\w./-]*)`/g)) {
      if (!roots.includes(path.split('/')[0] ?? '')) continue;
      t.ok(existsSync(join(PACKAGE_ROOT, path)), `${doc} names ${path}`);
    }
  }
});

t.test('the service runs what is there', async (t) => {
  const unit = read('packaging/cgfw.service');
  const paths = [...unit.matchAll(/\/opt\/cgfw\/[\w./-]+/g)].map(([path]) =>
    path.slice(INSTALLED.length),
  );
  t.ok(paths.length >= 3);
  for (const path of paths)
    t.ok(existsSync(join(PACKAGE_ROOT, path)), `packaging/cgfw.service names ${path}`);
  for (const [, path = ''] of unit.matchAll(/^ExecStart(?:Pre)?=-?(\S+)/gm)) {
    t.ok(
      statSync(join(PACKAGE_ROOT, path.slice(INSTALLED.length))).mode & 0o100,
      `${path} can be executed`,
    );
  }
  t.match(unit, /^ExecStart=\S+ run /m);
  t.match(unit, /^Restart=always$/m);
  t.notMatch(unit, /^ExecStop=/m, 'stopping leaves enforcement in place');
});
