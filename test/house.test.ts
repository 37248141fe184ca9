// The house keeps its order: floors, one door to the kernel, files that can be read at a sitting.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../src/kernel/place.js';

const SRC = join(PACKAGE_ROOT, 'src');

/** Folders by floor; a file may import its own folder or a lower floor. */
const FLOORS: Readonly<Record<string, number>> = {
  base: 0,
  // Between the two: the service points of `ports` are those of the kernel's tables.
  abi: 0.5,
  policy: 1,
  compile: 2,
  plan: 3,
  kernel: 4,
  source: 4,
  report: 4,
  agent: 5,
  cli: 6,
};

/** Floors 0 to 3 are pure: no clock, process, file or kernel. */
const PURE = 3;
const PURE_MODULES = new Set(['node:zlib', 'node:net', 'node:util', 'node:crypto', 'yaml', 'ajv']);

const MAX_LINES = 500;
const isGenerated = (file: string): boolean => file.endsWith('.gen.ts');

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();

function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [
    ...text.matchAll(/^(?:import|export)\b[^;]*?\bfrom '([^']+)';|\bimport\('([^']+)'\)/gm),
  ].map(([, from, dynamic]) => from ?? dynamic ?? '');
}

const folderOf = (file: string): string => file.split('/')[0] ?? '';

t.test('every folder has a floor', (t) => {
  for (const file of files) t.ok(folderOf(file) in FLOORS || !file.includes('/'), file);
  t.ok(files.length > 100);
  t.end();
});

t.test('a file imports its own folder or a lower floor, never a higher one', (t) => {
  for (const file of files.filter((name) => name.includes('/'))) {
    const floor = FLOORS[folderOf(file)] ?? -1;
    for (const from of importsOf(file).filter((name) => name.startsWith('.'))) {
      const target = relative(SRC, join(SRC, dirname(file), from));
      const below = FLOORS[folderOf(target)] ?? Infinity;
      const isFine = folderOf(target) === folderOf(file) || below < floor;
      if (!isFine)
        t.fail(`${file} (floor ${String(floor)}) imports ${target} (floor ${String(below)})`);
    }
  }
  t.pass('looked at all imports');
  t.end();
});

t.test('floors 0 to 3 are pure', (t) => {
  for (const file of files.filter(
    (name) => (FLOORS[folderOf(name)] ?? Infinity) <= PURE && !isGenerated(name),
  )) {
    for (const from of importsOf(file).filter((name) => !name.startsWith('.'))) {
      if (!PURE_MODULES.has(from)) t.fail(`${file} imports ${from}`);
    }
    const text = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
    t.notMatch(text, /\b(process\.|Date\.now|performance\.|Math\.random|console\.)/, file);
  }
  t.end();
});

t.test('one file loads the addon, and only native.ts leads to it', (t) => {
  const loaders = files.filter((file) =>
    /cgfw\.node|process\.dlopen|createRequire/.test(readFileSync(join(SRC, file), 'utf8')),
  );
  t.same(loaders, ['kernel/native/addon.ts']);
  const door = files.filter((file) => importsOf(file).some((from) => from.includes('/native/')));
  t.same(door, ['kernel/native.ts'], 'nobody else imports what is behind the door');
  t.end();
});

t.test(`no file has more than ${String(MAX_LINES)} lines`, (t) => {
  for (const file of files.filter((name) => !isGenerated(name))) {
    const lines = readFileSync(join(SRC, file), 'utf8').split('\n').length - 1;
    if (lines > MAX_LINES) t.fail(`${file} has ${String(lines)}`);
  }
  t.pass('looked at all files');
  t.end();
});

t.test('the generated layout is that of the built programs', (t) => {
  const printed = execFileSync(
    process.execPath,
    [join(PACKAGE_ROOT, 'scripts/generate-abi.mjs'), '--print'],
    { encoding: 'utf8' },
  );
  t.equal(
    readFileSync(join(SRC, 'abi/layout.gen.ts'), 'utf8'),
    printed,
    'run node scripts/generate-abi.mjs',
  );
  t.end();
});
