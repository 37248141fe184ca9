// Calls that are about no BPF object, and probes of what the kernel can do.

import { ATTACH_TYPES, MAP_TYPES, PROGRAM_TYPES } from './types.js';
import type { AttachType, MapType, ProgramType } from './types.js';
import { addon } from './addon.js';
import { count, refuse, take } from './errors.js';

/** Mounts a bpf file system on an existing directory. */
export function mountBpffs(path: string): void {
  count('mount bpf file system on', path, addon().mountBpffs(path));
}

/** The file system's magic number, such as BPF_FS_MAGIC; throws ENOENT. */
export function statfsType(path: string): number {
  return count('statfs', path, addon().statfsType(path));
}

/** Gives memory that is free, but kept by the allocator, back to the system. */
export function trimMemory(): void {
  addon().trimMemory();
}

/** Moves the main thread into a network namespace: sockets made after it live there. */
export function setNetns(path: string): void {
  count('enter network namespace', path, addon().setNetns(path));
}

/**
 * Replaces this process by a program: same pid, same cgroup. `path` is not
 * searched for; `argv` begins with the program's name. Returns only by throwing.
 */
export function exec(
  path: string,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): never {
  const pairs = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  return refuse('execute', path, addon().exec(path, argv, pairs));
}

// What a program must declare to be judged as one of its type.
const PROBE_ATTACH: Partial<Record<ProgramType, AttachType>> = {
  cgroup_skb: 'egress',
  cgroup_sock: 'sockCreate',
  cgroup_sock_addr: 'connect4',
  sock_ops: 'sockOps',
  cgroup_sockopt: 'setsockopt',
};
const SLEEPABLE = 1 << 4;

/** Whether programs of this type may call the helper with this number (enum bpf_func_id). */
export function probeHelper(type: ProgramType, helper: number): boolean {
  const attach = PROBE_ATTACH[type];
  const attachType = attach === undefined ? 0 : ATTACH_TYPES[attach];
  const flags = type === 'syscall' ? SLEEPABLE : 0;
  const log = take(
    'probe helper',
    String(helper),
    addon().tryHelper(PROGRAM_TYPES[type], attachType, flags, helper),
  );
  // Refused for its missing arguments means: the helper itself is there.
  return !/(unknown|invalid) func|cannot use helper/.test(log);
}

export function probeProgramType(type: ProgramType): boolean {
  return count('probe program type', type, addon().probeProgramType(PROGRAM_TYPES[type])) === 1;
}

export function probeMapType(type: MapType): boolean {
  return count('probe map type', type, addon().probeMapType(MAP_TYPES[type])) === 1;
}
