// What the tests of the addon share: objects, cgroups and pins of their own.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Test } from 'tap';
import { CgfwError } from '../../src/base/error.js';
import * as native from '../../src/kernel/native.js';

export const ROOT = join(import.meta.dirname, '../../..');
export const OBJECT = join(ROOT, 'build/test-bpf/native.bpf.o');
export const REFUSED = join(ROOT, 'build/test-bpf/refused.bpf.o');
export const MODULE = join(import.meta.dirname, '../../src/kernel/native.js');
export const CGROUP_ROOT = cgroupRoot();
export const BPF_ROOT = '/sys/fs/bpf';
export const NO_WAKEUP = 1n;
export const FORCE_WAKEUP = 2n;

export function cgroupRoot(): string {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.find((line) => line.split(' ')[2] === 'cgroup2')?.split(' ')[1] ?? '';
}

export const unique = (): string => `cgfw-test-${randomBytes(6).toString('hex')}`;

export function makeCgroup(t: Test, parent = CGROUP_ROOT): string {
  const path = join(parent, unique());
  mkdirSync(path);
  t.teardown(() => rmdirSync(path));
  return path;
}

export function makePinDirectory(t: Test): string {
  const path = join(BPF_ROOT, unique());
  mkdirSync(path);
  t.teardown(() => {
    for (const name of readdirSync(path)) unlinkSync(join(path, name));
    rmdirSync(path);
  });
  return path;
}

export function makeDirectory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'cgfw-test-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

export async function loadObject(
  t: Test,
  adjust?: (object: native.BpfObject) => void,
): Promise<native.BpfObject> {
  const object = native.openObject(OBJECT);
  t.teardown(() => object.close());
  adjust?.(object);
  await object.load();
  return object;
}

export function caught(action: () => unknown): CgfwError {
  try {
    action();
  } catch (error) {
    if (error instanceof CgfwError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

export async function until(fact: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!fact()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await nextTurn();
  }
}

export const u32 = (...words: number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(words).buffer);
export const u64 = (...words: bigint[]): Uint8Array =>
  new Uint8Array(BigUint64Array.from(words).buffer);
export const words = (bytes: Uint8Array): bigint[] => [...new BigUint64Array(bytes.slice().buffer)];
export const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/** Runs lines of a module in a fresh process, with the addon as `native`. */
export function inChild(lines: string, ...options: string[]): ReturnType<typeof spawnSync> {
  return spawnSync(
    process.execPath,
    [...options, '--input-type=module', '-e', childModule(lines)],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
}

export const childModule = (lines: string): string =>
  `import * as native from ${JSON.stringify(MODULE)};\nconst OBJECT = ${JSON.stringify(OBJECT)};\n${lines}`;
