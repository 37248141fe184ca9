// What a refusal of the kernel means to people.

import { constants } from 'node:os';
import { CgfwError, type ErrorCode } from '../../base/error.js';
import type { Failure } from './addon.js';

export const ENOTSUPP = 524; // the kernel's own, unknown to libc
export const { errno: ERRNO } = constants;
// libbpf's own, from enum libbpf_errno.
const LIBBPF_ERRORS = ['LIBELF', 'FORMAT', 'KVERSION', 'ENDIAN', 'INTERNAL', 'RELOC', 'LOAD', 'VERIFY',
  'PROG2BIG', 'KVER', 'PROGTYPE', 'WRNGPID', 'INVSEQ', 'NLPARSE']; // prettier-ignore
const FIRST_LIBBPF_ERROR = 4000;
const NAMES = new Map<number, string>([
  ...Object.entries(ERRNO).map(([name, number]) => [number, name] as const),
  [ENOTSUPP, 'ENOTSUPP'],
  [ERRNO.EAGAIN, 'EAGAIN'],
  [124, 'EMEDIUMTYPE'],
  ...LIBBPF_ERRORS.map((name, i) => [FIRST_LIBBPF_ERROR + i, `LIBBPF_${name}`] as const),
]);

/** The name of a positive errno, such as `EPERM`. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${String(errno)}`;
}

/** Whether an error is the kernel's refusal with this errno, such as `ENOENT`. */
export function isErrno(error: unknown, name: string): error is CgfwError {
  return error instanceof CgfwError && error.errno !== undefined && errnoName(error.errno) === name;
}

interface Hint {
  readonly code: ErrorCode;
  readonly fix: string;
}

const isRoot = (): boolean => process.geteuid?.() === 0;

function hint(operation: string, errno: number): Hint {
  const attaching = operation === 'attach';
  switch (errnoName(errno)) {
    case 'EPERM':
    case 'EACCES':
      if (!isRoot()) return { code: 'not-root', fix: 'run this as root' };
      if (attaching) {
        return {
          code: 'exclusive-program',
          fix: 'find the exclusive program on this cgroup or an ancestor with bpftool cgroup tree, and detach it or attach it with the multi flag',
        };
      }
      if (operation === 'replace program') {
        return { code: 'kernel', fix: 'read the state again: the link runs another program now' };
      }
      return {
        code: 'kernel',
        fix: 'check that nothing (lockdown, seccomp, a container) withholds CAP_BPF and CAP_NET_ADMIN',
      };
    case 'E2BIG':
      if (attaching) {
        return {
          code: 'too-many-programs',
          fix: 'detach some: a cgroup holds 64 programs of one type (bpftool cgroup show lists them)',
        };
      }
      break;
    case 'ENOENT':
    case 'ENOTDIR':
      if (attaching || operation === 'query cgroup') {
        return { code: 'no-cgroup', fix: 'create the cgroup, or wait until it appears' };
      }
      return { code: 'kernel', fix: 'check the name: nothing is there' };
    case 'ENOLINK':
      return { code: 'kernel', fix: 'remove the pin: its cgroup or interface is gone' };
    case 'EBADF':
      if (attaching) return { code: 'no-cgroup', fix: 'name a directory of a cgroup2 file system' };
      return { code: 'kernel', fix: 'report this: a closed object was used' };
    case 'EMEDIUMTYPE':
      return {
        code: 'kernel',
        fix: 'look at the pin with bpftool: it holds an object of another kind',
      };
    case 'EEXIST':
      return { code: 'kernel', fix: 'remove what is there already, or choose another name' };
    case 'EWOULDBLOCK':
    case 'EAGAIN':
      return { code: 'kernel', fix: 'try again' };
    case 'ENOMEM':
      return {
        code: 'kernel',
        fix: 'free memory, or raise the memory limit (memory.max, ulimit -l)',
      };
    case 'EMFILE':
    case 'ENFILE':
      return { code: 'kernel', fix: 'raise the limit of open files (ulimit -n)' };
    case 'ENOTSUPP':
    case 'EOPNOTSUPP':
    case 'ENOSYS':
      return { code: 'unsupported', fix: 'use a kernel that has this (complete from 6.1 on)' };
  }
  return { code: 'kernel', fix: 'report this with the output of cgfw status --json and uname -r' };
}

export function refuse(operation: string, subject: string, result: number): never {
  const errno = -result;
  const about = subject === '' ? '' : ` ${subject}`;
  throw new CgfwError(`${operation}${about}: ${errnoName(errno)}`, {
    ...hint(operation, errno),
    errno,
    operation,
  });
}

/** A result that is not a number, or the refusal thrown. */
export function take<T>(operation: string, subject: string, result: T | number): T {
  return typeof result === 'number' ? refuse(operation, subject, result) : result;
}

/** A count that is not negative, or the refusal thrown. */
export function count(operation: string, subject: string, result: number): number {
  return result < 0 ? refuse(operation, subject, result) : result;
}

/** The whole text that libbpf and the verifier wrote; `cause` of a verifier error. */
export class LoadLog extends Error {
  // Private, so that printing an error does not print megabytes.
  readonly #text: string;

  constructor(text: string) {
    super('the whole log of the load is in text');
    this.name = 'LoadLog';
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }
}

/** The lines that tell: the verifier's last words, else libbpf's own warnings. */
function tellingLines(log: string): string[] {
  const lines = log.split('\n').map((line) => line.trimEnd());
  const end = lines.findIndex((line) => line.startsWith('processed ') && line.includes(' insns'));
  if (end > 0) return lines.slice(Math.max(0, end - 2), end);
  return lines.filter((line) => line.startsWith('libbpf: ')).slice(0, 3);
}

export function loadError(path: string, failure: Failure): CgfwError {
  const errno = -failure.errno;
  const program = /prog '([^']+)': BPF program load failed/.exec(failure.log)?.[1];
  const telling = tellingLines(failure.log).join('\n  ');
  const subject = program === undefined ? path : `program ${program} of ${path}`;
  const refused = program !== undefined;
  const details = refused
    ? {
        code: 'verifier' as const,
        fix: 'report this with the whole log: this kernel does not accept the program',
      }
    : errno >= FIRST_LIBBPF_ERROR
      ? { code: 'abi' as const, fix: 'build the programs again: npm run build' }
      : hint('load', errno);
  return new CgfwError(
    `load ${subject}: ${errnoName(errno)}${telling === '' ? '' : `\n  ${telling}`}`,
    {
      ...details,
      errno,
      operation: 'load',
      cause: new LoadLog(failure.log),
    },
  );
}
