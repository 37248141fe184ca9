import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';

const ROOT = path.join(import.meta.dirname, '../../..');

t.test('what derives from the schema is as scripts/generate.mjs makes it', async (t) => {
  const script = pathToFileURL(path.join(ROOT, 'scripts/generate.mjs')).href;
  const { generate } = (await import(script)) as {
    generate: () => Promise<Record<string, string>>;
  };
  for (const [file, text] of Object.entries(await generate())) {
    t.equal(
      readFileSync(path.join(ROOT, file), 'utf8'),
      text,
      `${file}: run node scripts/generate.mjs`,
    );
  }
});
