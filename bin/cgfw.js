#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

// The agent lives for months and does little: 15 MB for short-lived objects, which
// the first start would claim and never give back, are not worth the speed.
if (process.argv[2] === 'run') setFlagsFromString('--semi-space-growth-factor=1');

const main = new URL('../dist/cgfw/bin.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('cgfw: not built yet: npm run setup builds it');
  process.exitCode = 2;
}
