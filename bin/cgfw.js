#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/bin.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('cgfw: not built yet: npm run setup builds it');
  process.exitCode = 2;
}
