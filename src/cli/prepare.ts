// What verbs have in common: the place, the policy file, the sentence when something is missing.

import { existsSync, mkdirSync } from 'node:fs';
import { CgfwError } from '../base/error.js';
import { guardsOf } from '../agent/guard.js';
import type { ProspectOptions } from '../agent/prospect.js';
import { BPF_FS_MAGIC, CGROUP2_MAGIC, mountBpffs, statfsType } from '../kernel/native.js';
import { findPlace } from '../kernel/place.js';
import type { Place } from '../kernel/place.js';
import type { Policy } from '../policy/policy.js';
import { renderDiagnostic } from '../policy/render.js';
import { PolicyFile } from '../source/policy-file.js';
import type { Reading } from '../source/policy-file.js';
import { DEFAULT_POLICY, textOption } from './command.js';
import type { Options } from './command.js';
import type { World } from './world.js';

const BPFFS = '/sys/fs/bpf';

/** Where to work, for verbs that speak to the kernel. Throws a sentence where that is not possible. */
export function kernelPlace(world: World, options: Options): Place {
  if (world.uid !== 0) {
    throw new CgfwError('this needs root: it speaks to the kernel about BPF programs', {
      code: 'not-root',
      fix: 'run it with sudo',
    });
  }
  const cgroupRoot = textOption(options, 'cgroupRoot');
  const place = findPlace(cgroupRoot === undefined ? {} : { cgroupRoot }, world.env);
  if (!existsSync(place.cgroupRoot)) {
    throw new CgfwError(`there is no directory ${place.cgroupRoot}`, {
      code: 'no-cgroup2',
      fix: 'name the mount point of the cgroup2 hierarchy with --cgroup-root',
    });
  }
  if (statfsType(place.cgroupRoot) !== CGROUP2_MAGIC) {
    throw new CgfwError(`${place.cgroupRoot} is not in a cgroup2 hierarchy`, {
      code: 'no-cgroup2',
      fix: 'name its mount point with --cgroup-root (grep cgroup2 /proc/mounts), or leave the option out',
    });
  }
  return place;
}

/** As kernelPlace, and sees to it that pins can be made. */
export function writablePlace(world: World, options: Options): Place {
  const place = kernelPlace(world, options);
  if (!existsSync(BPFFS)) {
    throw new CgfwError(`there is no ${BPFFS}: this kernel has no BPF`, {
      code: 'no-bpf',
      fix: 'use a kernel with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF (any distribution kernel from 5.10 on)',
    });
  }
  if (statfsType(BPFFS) !== BPF_FS_MAGIC) mountBpffs(BPFFS);
  mkdirSync(place.pinRoot, { recursive: true, mode: 0o700 });
  return place;
}

/** Reads the policy file of a verb's argument. */
export function readPolicyArgument(world: World, args: readonly string[]): Reading {
  return new PolicyFile(args[0] ?? DEFAULT_POLICY, world.uid).read();
}

/** The policy, or code `invalid-policy` with every diagnostic. Warnings go to stderr. */
export function validPolicy(world: World, reading: Reading): Policy {
  if (reading.policy === undefined) throw invalidPolicy(reading);
  for (const warning of reading.diagnostics) {
    world.stderr(`${renderDiagnostic(warning, { color: world.isTerminal })}\n`);
  }
  return reading.policy;
}

export function invalidPolicy(reading: Reading): CgfwError {
  const [file] = reading.files;
  const [only] = reading.diagnostics;
  if (only !== undefined && only.at === undefined && reading.diagnostics.length === 1) {
    return new CgfwError(only.message, {
      code: 'invalid-policy',
      fix: only.fix,
      diagnostics: reading.diagnostics,
    });
  }
  return new CgfwError(`the policy file ${file ?? ''} is not valid`, {
    code: 'invalid-policy',
    fix: 'mend what the lines above name',
    diagnostics: reading.diagnostics,
  });
}

export function guardsFor(reading: Reading | null, force: 'force' | 'guarded'): ProspectOptions {
  return { guards: force === 'force' || reading === null ? [] : guardsOf(reading.sets) };
}
