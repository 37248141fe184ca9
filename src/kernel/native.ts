// The one door to the kernel: loads the addon, gives its numbers meaning.
//
// Every call that the kernel refuses throws a CgfwError of code `kernel` (or a
// narrower one) with operation, positive errno and a hint. Addresses, keys and
// values travel as bytes in the kernel's own layout and byte order.

import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CgfwError, type ErrorCode } from '../base/error.js';

/** Attach types by our own words; the numbers are enum bpf_attach_type. */
export const ATTACH_TYPES = {
  ingress: 0,
  egress: 1,
  sockCreate: 2,
  sockOps: 3,
  device: 6,
  bind4: 8,
  bind6: 9,
  connect4: 10,
  connect6: 11,
  postBind4: 12,
  postBind6: 13,
  sendmsg4: 14,
  sendmsg6: 15,
  sysctl: 18,
  recvmsg4: 19,
  recvmsg6: 20,
  getsockopt: 21,
  setsockopt: 22,
  getpeername4: 29,
  getpeername6: 30,
  getsockname4: 31,
  getsockname6: 32,
  sockRelease: 34,
  xdp: 37,
} as const;

export type AttachType = keyof typeof ATTACH_TYPES;

/** Program types that probes ask about; the numbers are enum bpf_prog_type. */
export const PROGRAM_TYPES = {
  xdp: 6,
  cgroup_skb: 8,
  cgroup_sock: 9,
  sock_ops: 13,
  sk_msg: 16,
  cgroup_sock_addr: 18,
  syscall: 31,
} as const;

export type ProgramType = keyof typeof PROGRAM_TYPES;

/** Map types that can be created or probed; the numbers are enum bpf_map_type. */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  percpu_hash: 5,
  percpu_array: 6,
  lru_hash: 9,
  lpm_trie: 11,
  sockhash: 18,
  cgroup_storage: 19,
  sk_storage: 24,
  ringbuf: 27,
} as const;

export type MapType = keyof typeof MAP_TYPES;

/** BPF_F_MMAPABLE, for createMap. */
export const MMAPABLE = 1 << 10;
/** BPF_NOEXIST and BPF_EXIST, for BpfMap.update. */
export const NO_EXIST = 1;
export const EXIST = 2;

/** What statfsType answers for the file systems we care about. */
export const BPF_FS_MAGIC = 0xcafe4a11;
export const CGROUP2_MAGIC = 0x63677270;

export interface MapInfo {
  readonly id: number;
  /** libbpf's word: `array`, `percpu_array`, `ringbuf`, `cgroup_storage` ... */
  readonly type: string;
  readonly keySize: number;
  /** Bytes of one value on one CPU. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** At most 15 characters. */
  readonly name: string;
}

export type MapSpec = Omit<MapInfo, 'id' | 'name'>;

export interface ProgramInfo {
  readonly id: number;
  /** libbpf's word: `cgroup_skb`, `cgroup_sock_addr`, `syscall` ... */
  readonly type: string;
  /** At most 15 characters. */
  readonly name: string;
  /** 16 hexadecimal digits over the instructions; same code, same tag. */
  readonly tag: string;
  /** Nanoseconds since boot. */
  readonly loadedAt: bigint;
  readonly mapIds: readonly number[];
}

export interface LinkInfo {
  readonly id: number;
  /** The kernel's word: `cgroup`, `xdp`, `netns` ... */
  readonly type: string;
  readonly progId: number;
  /** 0n: not a cgroup link, or the cgroup is gone. */
  readonly cgroupId: bigint;
  /** Our word when we have one, else the kernel's number; -1: this type has none. */
  readonly attachType: AttachType | number;
  /** 0: not an XDP link, or the interface is gone. */
  readonly ifindex: number;
}

/** One file of a bpffs directory: a link, or why it could not be read as one. */
export type ListedLink =
  | {
      readonly name: string;
      readonly linkId: number;
      readonly type: string;
      readonly progId: number;
      readonly cgroupId: bigint;
      readonly attachType: AttachType | number;
      readonly ifindex: number;
      readonly error?: undefined;
    }
  /** `error` is a positive errno; EMEDIUMTYPE: it is pinned, but not a link. */
  | { readonly name: string; readonly error: number };

export interface CgroupPrograms {
  /** Flags of the cgroup itself: 0 none or exclusive, 1 override, 2 multi. */
  readonly attachFlags: number;
  /** In the order in which they run. */
  readonly programs: readonly { readonly id: number; readonly attachFlags?: number }[];
}

export interface TestRunOptions {
  readonly ctx?: Uint8Array;
  readonly data?: Uint8Array;
  /** Times to run; 0 (once) is the only value for a syscall program. */
  readonly repeat?: number;
  readonly dataOutSize?: number;
  readonly ctxOutSize?: number;
}

export interface TestRunResult {
  readonly retval: number;
  /** Average over the repeats; 0 for a syscall program. */
  readonly durationNs: number;
  /** The context after the run: a syscall program's answer. */
  readonly ctx: Uint8Array;
  /** The packet after the run, as far as dataOutSize reaches. */
  readonly data: Uint8Array;
}

export interface LookupBatch {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
  /** For the next call; null: that was all. */
  readonly cursor: Uint8Array | null;
}

/** Records back to back without padding, and the length of each. */
export type OnBatch = (records: Uint8Array, sizes: Uint32Array) => void;

// ---------------------------------------------------------------- the addon

type Errno = number;
interface Failure {
  readonly errno: Errno;
  readonly log: string;
}

interface NativeMap {
  info(): MapInfo;
  descriptor(): number;
  lookup(key: Uint8Array, flags: number): Uint8Array | null | Errno;
  update(key: Uint8Array, value: Uint8Array, flags: number): Errno;
  delete(key: Uint8Array): Errno;
  nextKey(key: Uint8Array | null): Uint8Array | null | Errno;
  lookupBatch(cursor: Uint8Array | null, count: number): LookupBatch | Errno;
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): Errno;
  deleteBatch(keys: Uint8Array, count: number): Errno;
  sumPerCpu(first: number, count: number, batch: boolean): BigUint64Array | Errno;
  pin(path: string): Errno;
  read(offset: number, length: number): Uint8Array | Errno;
  write(offset: number, bytes: Uint8Array): Errno;
  loadWord(offset: number): bigint | Errno;
  storeWord(offset: number, value: bigint): Errno;
  close(): Errno;
}

interface NativeProgram {
  info(): ProgramInfo | Errno;
  descriptor(): number;
  pin(path: string): Errno;
  testRun(
    ctx: Uint8Array | null,
    data: Uint8Array | null,
    repeat: number,
    dataOutSize: number,
    ctxOutSize: number,
  ): TestRunResult | Errno;
  close(): Errno;
}

// Links as columns: {error, id, type, program id, attach type, ifindex} each.
interface LinkColumns {
  readonly words: Float64Array;
  readonly cgroups: BigUint64Array;
}

interface NativeLink {
  info(): LinkColumns | Errno;
  pin(path: string): Errno;
  update(program: NativeProgram, expected: NativeProgram | null): Errno;
  detach(): Errno;
  close(): Errno;
}

interface NativeObject {
  rodata(): Uint8Array | Errno;
  setRodata(bytes: Uint8Array): Errno;
  spec(map: string): MapSpec | Errno;
  setMaxEntries(map: string, entries: number): Errno;
  reuseMap(name: string, map: NativeMap): Errno;
  setAutoload(program: string, autoload: boolean): Errno;
  load(): Promise<0 | Failure> | Errno;
  map(name: string): NativeMap | Errno;
  maps(): string[] | Errno;
  program(name: string): NativeProgram | Errno;
  programs(): string[] | Errno;
  close(): Errno;
}

interface NativeRing {
  open(map: NativeMap, onBatch: OnBatch): Errno;
  consume(): number | Errno;
  pending(): number | Errno;
  ref(): void;
  unref(): void;
  close(): Errno;
}

interface NativeLock {
  close(): Errno;
}

interface Addon {
  openObject(path: string): NativeObject | Failure | Errno;
  openPinnedMap(path: string): NativeMap | Errno;
  openPinnedProgram(path: string): NativeProgram | Errno;
  openPinnedLink(path: string): NativeLink | Errno;
  createMap(
    type: number,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    flags: number,
    name: string,
  ): NativeMap | Errno;
  programInfo(id: number): ProgramInfo | Errno;
  attachCgroup(program: NativeProgram, path: string, attachType: number): NativeLink | Errno;
  listLinks(path: string): (LinkColumns & { readonly names: string[] }) | Errno;
  queryCgroup(
    path: string,
    attachType: number,
    flags: number,
    capacity: number,
  ): { attachFlags: number; ids: number[]; flags: number[] } | Errno;
  linkInfo(id: number): LinkColumns | Errno;
  nextLinkId(id: number): number | Errno;
  newRing(): NativeRing;
  lockFile(path: string, exclusive: boolean): NativeLock | Errno;
  membarrier(): Promise<Errno>;
  swapInnerMap(): Promise<Errno>;
  mountBpffs(path: string): Errno;
  statfsType(path: string): number | Errno;
  setNetns(path: string): Errno;
  exec(path: string, argv: readonly string[], env: readonly string[]): Errno;
  tryHelper(programType: number, attachType: number, flags: number, helper: number): string | Errno;
  probeProgramType(type: number): Errno;
  probeMapType(type: number): Errno;
}

const ADDON_PATH = join(import.meta.dirname, '../../..', 'native/build/Release/cgfw.node');

function loadAddon(): Addon {
  try {
    return createRequire(import.meta.url)(ADDON_PATH) as Addon;
  } catch (cause) {
    const missing = !existsSync(ADDON_PATH);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CgfwError(
      missing
        ? 'the native part of cgfw is not built'
        : `the native part cannot be loaded: ${reason}`,
      {
        code: 'unsupported',
        fix: reason.includes('libbpf.so')
          ? 'install the package libbpf1 (apt-get install libbpf1)'
          : 'run npm run setup in the directory of cgfw',
        cause,
      },
    );
  }
}

let loaded: Addon | undefined;

// Loaded at the first call: verbs that only read a file run without it.
function addon(): Addon {
  return (loaded ??= loadAddon());
}

// ------------------------------------------------------------------- errors

const ENOTSUPP = 524; // the kernel's own, unknown to libc
const { errno: ERRNO } = constants;
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

function refuse(operation: string, subject: string, result: number): never {
  const errno = -result;
  const about = subject === '' ? '' : ` ${subject}`;
  throw new CgfwError(`${operation}${about}: ${errnoName(errno)}`, {
    ...hint(operation, errno),
    errno,
    operation,
  });
}

/** A result that is not a number, or the refusal thrown. */
function take<T>(operation: string, subject: string, result: T | number): T {
  return typeof result === 'number' ? refuse(operation, subject, result) : result;
}

/** A count that is not negative, or the refusal thrown. */
function count(operation: string, subject: string, result: number): number {
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

function loadError(path: string, failure: Failure): CgfwError {
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

// ------------------------------------------------------------------ objects

// What only this file may see of an object: its native half.
const NATIVE = Symbol('native');

/**
 * One ELF object file: open, adjust, load once. Maps and programs taken from
 * it outlive it; close it as soon as they are taken.
 */
export class BpfObject {
  readonly path: string;
  readonly #native: NativeObject;

  constructor(path: string, native: NativeObject) {
    this.path = path;
    this.#native = native;
  }

  /** The initial value of .rodata, to be patched and given to setRodata. */
  rodata(): Uint8Array {
    return take('read .rodata', this.path, this.#native.rodata());
  }

  /** Before load: the whole of .rodata, of exactly its size. */
  setRodata(bytes: Uint8Array): void {
    count('set .rodata', this.path, this.#native.setRodata(bytes));
  }

  /** What the object declares about a map. */
  mapSpec(map: string): MapSpec {
    return take('find map', map, this.#native.spec(map));
  }

  /** Before load. */
  setMaxEntries(map: string, entries: number): void {
    count('set max_entries', map, this.#native.setMaxEntries(map, entries));
  }

  /**
   * Before load: use an existing map instead of making one. Throws `abi` when
   * type, sizes or flags differ from the declaration; set max entries before.
   */
  reuseMap(name: string, map: BpfMap): void {
    const spec = this.mapSpec(name);
    const wrong = (['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const).find(
      (field) => spec[field] !== map.info[field],
    );
    if (wrong !== undefined) {
      throw new CgfwError(
        `map ${name} has ${wrong} ${String(map.info[wrong])}, the program wants ${String(spec[wrong])}`,
        { code: 'abi', fix: 'load all programs and maps of one build together' },
      );
    }
    count('reuse map', name, this.#native.reuseMap(name, map[NATIVE]));
  }

  /** Before load: whether a program is loaded; all are unless said otherwise. */
  setAutoload(program: string, autoload: boolean): void {
    count('set autoload', program, this.#native.setAutoload(program, autoload));
  }

  /**
   * Creates the maps and loads the programs, off the main thread. Rejects with
   * code `verifier` (cause: LoadLog, the whole log) when a program is refused;
   * the object is spent then.
   */
  async load(): Promise<void> {
    const pending = this.#native.load();
    const result = await (typeof pending === 'number'
      ? refuse('load', this.path, pending)
      : pending);
    if (result !== 0) throw loadError(this.path, result);
  }

  map(name: string): BpfMap {
    return new BpfMap(take('find map', name, this.#native.map(name)));
  }

  maps(): string[] {
    return take('list maps', this.path, this.#native.maps());
  }

  program(name: string): BpfProgram {
    return new BpfProgram(take('find program', name, this.#native.program(name)));
  }

  programs(): string[] {
    return take('list programs', this.path, this.#native.programs());
  }

  close(): void {
    count('close', this.path, this.#native.close());
  }
}

/**
 * A map by its own descriptor. Keys and values must have exactly the size in
 * `info`; a value of a per-CPU map is all CPUs' values one after the other,
 * each rounded up to 8 bytes.
 */
export class BpfMap {
  readonly info: MapInfo;
  readonly #native: NativeMap;

  constructor(native: NativeMap) {
    this.#native = native;
    this.info = native.info();
  }

  get [NATIVE](): NativeMap {
    return this.#native;
  }

  /** The descriptor, as the value for a map of maps; valid until close. */
  get fd(): number {
    return count('use', this.info.name, this.#native.descriptor());
  }

  /** null: no such key. */
  lookup(key: Uint8Array, flags = 0): Uint8Array | null {
    const value = this.#native.lookup(key, flags);
    return typeof value === 'number' ? refuse('look up in', this.info.name, value) : value;
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    count('update', this.info.name, this.#native.update(key, value, flags));
  }

  /** False: no such key. */
  delete(key: Uint8Array): boolean {
    const result = this.#native.delete(key);
    if (result === -ERRNO.ENOENT) return false;
    count('delete from', this.info.name, result);
    return true;
  }

  /** The key after this one (null: the first key); null: no more. */
  nextKey(key: Uint8Array | null): Uint8Array | null {
    const next = this.#native.nextKey(key);
    return typeof next === 'number' ? refuse('iterate', this.info.name, next) : next;
  }

  *keys(): Generator<Uint8Array, void, undefined> {
    for (let key = this.nextKey(null); key !== null; key = this.nextKey(key)) yield key;
  }

  /**
   * Up to `limit` entries from a cursor (null: the beginning). Throws
   * `unsupported` for map types without batches; entries() goes round that.
   */
  lookupBatch(cursor: Uint8Array | null, limit: number): LookupBatch {
    return take('read batch of', this.info.name, this.#native.lookupBatch(cursor, limit));
  }

  /** All entries, read in batches where the map type has them. No snapshot. */
  *entries(): Generator<[key: Uint8Array, value: Uint8Array], void, undefined> {
    let limit = 1024;
    let cursor: Uint8Array | null = null;
    for (;;) {
      const batch: LookupBatch | number = this.#native.lookupBatch(cursor, limit);
      // ENOSPC: one bucket of a hash holds more entries than the limit.
      if (batch === -ERRNO.ENOSPC && limit < 1 << 20) {
        limit *= 4;
        continue;
      }
      if (typeof batch === 'number') {
        if (cursor === null && lacksBatches(batch)) {
          yield* this.#entriesSingly();
          return;
        }
        refuse('read batch of', this.info.name, batch);
      }
      const valueSize = batch.values.length / batch.count;
      for (let i = 0; i < batch.count; i++) {
        const { keySize } = this.info;
        yield [
          batch.keys.subarray(i * keySize, (i + 1) * keySize),
          batch.values.subarray(i * valueSize, (i + 1) * valueSize),
        ];
      }
      if (batch.cursor === null) return;
      cursor = batch.cursor;
    }
  }

  *#entriesSingly(): Generator<[key: Uint8Array, value: Uint8Array], void, undefined> {
    for (const key of this.keys()) {
      const value = this.lookup(key);
      if (value !== null) yield [key, value];
    }
  }

  /** Writes `entries` entries; keys and values back to back. Not atomic. */
  updateBatch(keys: Uint8Array, values: Uint8Array, entries: number): void {
    const result = this.#native.updateBatch(keys, values, entries);
    if (!lacksBatches(result) || !this.#isWhole(keys, entries)) {
      count('update batch of', this.info.name, result);
      return;
    }
    const valueSize = values.length / entries;
    for (let i = 0; i < entries; i++) {
      this.update(this.#keyAt(keys, i), values.subarray(i * valueSize, (i + 1) * valueSize));
    }
  }

  /** Deletes `entries` keys, back to back. Throws ENOENT at the first that is absent. */
  deleteBatch(keys: Uint8Array, entries: number): void {
    const result = this.#native.deleteBatch(keys, entries);
    if (!lacksBatches(result) || !this.#isWhole(keys, entries)) {
      count('delete batch from', this.info.name, result);
      return;
    }
    for (let i = 0; i < entries; i++) {
      if (!this.delete(this.#keyAt(keys, i)))
        refuse('delete batch from', this.info.name, -ERRNO.ENOENT);
    }
  }

  #keyAt(keys: Uint8Array, i: number): Uint8Array {
    return keys.subarray(i * this.info.keySize, (i + 1) * this.info.keySize);
  }

  // EINVAL also means wrong sizes: those must not start a fallback.
  #isWhole(keys: Uint8Array, entries: number): boolean {
    return entries > 0 && keys.length === entries * this.info.keySize;
  }

  /**
   * The sums over all CPUs of the 64-bit words in `length` elements of a
   * per-CPU array from `first` on: valueSize / 8 words an element.
   */
  sumPerCpu(first: number, length: number): BigUint64Array {
    const sums = this.#native.sumPerCpu(first, length, true);
    if (typeof sums !== 'number') return sums;
    if (!lacksBatches(sums)) refuse('sum', this.info.name, sums);
    return take('sum', this.info.name, this.#native.sumPerCpu(first, length, false));
  }

  pin(path: string): void {
    count('pin map', path, this.#native.pin(path));
  }

  /** A copy of bytes of a memory-mapped array (elements rounded up to 8 bytes). */
  read(offset: number, length: number): Uint8Array {
    return take('read', this.info.name, this.#native.read(offset, length));
  }

  /** Copies bytes into a memory-mapped array; programs may see them half written. */
  write(offset: number, bytes: Uint8Array): void {
    count('write', this.info.name, this.#native.write(offset, bytes));
  }

  /** One aligned 64-bit word of a memory-mapped array, with acquire order. */
  loadWord(offset: number): bigint {
    return take('load word of', this.info.name, this.#native.loadWord(offset));
  }

  /** Stores one aligned 64-bit word; all writes before it are visible with it. */
  storeWord(offset: number, value: bigint): void {
    count('store word in', this.info.name, this.#native.storeWord(offset, value));
  }

  close(): void {
    this.#native.close();
  }
}

const lacksBatches = (result: number): boolean =>
  result === -ENOTSUPP || result === -ERRNO.EOPNOTSUPP || result === -ERRNO.EINVAL;

/** A loaded program by its own descriptor. */
export class BpfProgram {
  readonly info: ProgramInfo;
  readonly #native: NativeProgram;

  constructor(native: NativeProgram) {
    this.#native = native;
    this.info = take('describe program', '', native.info());
  }

  get [NATIVE](): NativeProgram {
    return this.#native;
  }

  /** The descriptor; valid until close. */
  get fd(): number {
    return count('use', this.info.name, this.#native.descriptor());
  }

  pin(path: string): void {
    count('pin program', path, this.#native.pin(path));
  }

  /**
   * Runs the program once or more in the kernel. A syscall program answers in
   * `ctx`; cgroup_skb wants `data` (a packet from its Ethernet header on).
   */
  testRun(options: TestRunOptions): TestRunResult {
    const { ctx = null, data = null, repeat = 0, dataOutSize = 0, ctxOutSize = 0 } = options;
    return take(
      'run',
      this.info.name,
      this.#native.testRun(ctx, data, repeat, dataOutSize, ctxOutSize),
    );
  }

  close(): void {
    this.#native.close();
  }
}

const ATTACH_NAMES = new Map<number, AttachType>(
  Object.entries(ATTACH_TYPES).map(([name, number]) => [number, name as AttachType]),
);

const attachName = (type: number): AttachType | number => ATTACH_NAMES.get(type) ?? type;

// enum bpf_link_type: newer kernels have types that the system's libbpf cannot name.
const LINK_TYPES = [
  'unspec',
  'raw_tracepoint',
  'tracing',
  'cgroup',
  'iter',
  'netns',
  'xdp',
  'perf_event',
  'kprobe_multi',
  'struct_ops',
  'netfilter',
  'tcx',
  'uprobe_multi',
  'netkit',
  'sockmap',
];

const LINK_WORDS = 6;

function linkAt({ words, cgroups }: LinkColumns, i: number): LinkInfo {
  const word = (field: number): number => words[i * LINK_WORDS + field] ?? 0;
  return {
    id: word(1),
    type: LINK_TYPES[word(2)] ?? `type ${String(word(2))}`,
    progId: word(3),
    cgroupId: cgroups[i] ?? 0n,
    attachType: attachName(word(4)),
    ifindex: word(5),
  };
}

/** An attachment. Unpinned, it ends when the last descriptor closes. */
export class BpfLink {
  readonly #native: NativeLink;

  constructor(native: NativeLink) {
    this.#native = native;
  }

  /** Read anew each time: the program changes by update, the cgroup may vanish. */
  get info(): LinkInfo {
    return linkAt(take('describe link', '', this.#native.info()), 0);
  }

  pin(path: string): void {
    count('pin link', path, this.#native.pin(path));
  }

  /**
   * Replaces the program, atomically. With `expected` only if that one runs
   * (else EPERM). The kernel compares program types only: an ingress program
   * on an egress link is not refused.
   */
  update(program: BpfProgram, options: { readonly expected?: BpfProgram } = {}): void {
    const expected = options.expected?.[NATIVE] ?? null;
    count('replace program', program.info.name, this.#native.update(program[NATIVE], expected));
  }

  /** Ends the attachment even while it is pinned. */
  detach(): void {
    count('detach link', '', this.#native.detach());
  }

  close(): void {
    this.#native.close();
  }
}

/** Opens an object file; nothing reaches the kernel before load. */
export function openObject(path: string): BpfObject {
  const result = take('open', path, addon().openObject(path));
  if ('errno' in result) throw loadError(path, result);
  return new BpfObject(path, result);
}

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedMap(path: string): BpfMap {
  return new BpfMap(take('open pinned map', path, addon().openPinnedMap(path)));
}

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedProgram(path: string): BpfProgram {
  return new BpfProgram(take('open pinned program', path, addon().openPinnedProgram(path)));
}

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedLink(path: string): BpfLink {
  return new BpfLink(take('open pinned link', path, addon().openPinnedLink(path)));
}

/** A map without an object file. `name` has at most 15 characters. */
export function createMap(
  type: MapType,
  spec: Pick<MapInfo, 'keySize' | 'valueSize' | 'maxEntries'> &
    Partial<Pick<MapInfo, 'flags' | 'name'>>,
): BpfMap {
  const { keySize, valueSize, maxEntries, flags = 0, name = '' } = spec;
  const native = addon().createMap(MAP_TYPES[type], keySize, valueSize, maxEntries, flags, name);
  return new BpfMap(take('create map', name, native));
}

/**
 * Attaches a program to a cgroup by bpf_link, beside whatever else is there.
 * The attachment lives as long as the link or its pin.
 */
export function attachCgroup(
  program: BpfProgram,
  cgroupPath: string,
  attachType: AttachType,
): BpfLink {
  const native = addon().attachCgroup(program[NATIVE], cgroupPath, ATTACH_TYPES[attachType]);
  return new BpfLink(take('attach', `${attachType} to ${cgroupPath}`, native));
}

/** All files of a bpffs directory as links, in no order. Directories are left out. */
export function listLinks(directory: string): ListedLink[] {
  const columns = take('list', directory, addon().listLinks(directory));
  return columns.names.map((name, i) => {
    const error = -(columns.words[i * LINK_WORDS] ?? 0);
    if (error !== 0) return { name, error };
    const { id: linkId, ...link } = linkAt(columns, i);
    return { name, linkId, ...link };
  });
}

const QUERY_EFFECTIVE = 1;

/** The programs attached to a cgroup itself (direct) or running for it (effective). */
export function queryCgroup(
  cgroupPath: string,
  attachType: AttachType,
  scope: 'direct' | 'effective',
): CgroupPrograms {
  const flags = scope === 'effective' ? QUERY_EFFECTIVE : 0;
  for (let capacity = 64; ; capacity *= 4) {
    const answer = addon().queryCgroup(cgroupPath, ATTACH_TYPES[attachType], flags, capacity);
    if (answer === -ERRNO.ENOSPC && capacity < 1 << 18) continue;
    const { attachFlags, ids, flags: each } = take('query cgroup', cgroupPath, answer);
    const programs = ids.map((id, i) => {
      const own = each[i];
      return own === undefined ? { id } : { id, attachFlags: own };
    });
    return { attachFlags, programs };
  }
}

/** null: no such program (any more). */
export function programInfo(id: number): ProgramInfo | null {
  const info = addon().programInfo(id);
  return info === -ERRNO.ENOENT ? null : take('describe program', String(id), info);
}

/** null: no such link (any more). */
export function linkInfo(id: number): LinkInfo | null {
  const info = addon().linkInfo(id);
  return info === -ERRNO.ENOENT ? null : linkAt(take('describe link', String(id), info), 0);
}

/** Every link of the machine, ours and others', by ascending id. */
export function allLinks(): LinkInfo[] {
  const links: LinkInfo[] = [];
  for (let id = 0; ;) {
    const next = addon().nextLinkId(id);
    if (next === -ERRNO.ENOENT) return links;
    id = count('list links', '', next);
    const info = linkInfo(id);
    if (info !== null) links.push(info);
  }
}

/**
 * The one reader of a ring buffer. A wake-up by the kernel calls onBatch from
 * the event loop; records submitted without one wait for consume().
 */
export class Ring {
  readonly #native: NativeRing;

  constructor(native: NativeRing) {
    this.#native = native;
  }

  /** Reads one batch now (at most 65,536 records or 4 MiB); the number of records. */
  consume(): number {
    return count('read', 'ring', this.#native.consume());
  }

  /** Bytes in the ring, headers included. */
  get pendingBytes(): number {
    return count('read', 'ring', this.#native.pending());
  }

  /** The ring keeps the process alive (as at the beginning). */
  ref(): void {
    this.#native.ref();
  }

  unref(): void {
    this.#native.unref();
  }

  close(): void {
    this.#native.close();
  }
}

/** Opens a ring buffer for reading; only one reader may exist at a time. */
export function openRing(map: BpfMap, onBatch: OnBatch): Ring {
  const native = addon().newRing();
  count('open ring', map.info.name, native.open(map[NATIVE], onBatch));
  return new Ring(native);
}

/**
 * Resolves when every program that was running at the call has ended: what it
 * may have read can be overwritten. Takes some 10 ms, off the main thread.
 */
export async function membarrier(): Promise<void> {
  const result = await addon().membarrier();
  // EINVAL: a nohz_full kernel has no global barrier. A map swap waits as long.
  if (result === -ERRNO.EINVAL || result === -ERRNO.ENOSYS) return waitForPrograms();
  count('wait for running programs', '', result);
}

/** As membarrier, by changing a map of maps: the kernel then waits for readers. */
export async function waitForPrograms(): Promise<void> {
  count('wait for running programs', '', await addon().swapInnerMap());
}

export type LockMode = 'exclusive' | 'shared';

/** A held lock on a file; the kernel releases it when the process ends. */
export interface FileLock {
  close(): void;
}

const LOCK_RETRY_MS = 20;

/** flock(2) on a file, made if absent; `try`: null when another process holds it. */
export function lockFile(path: string, mode: LockMode, patience: 'try'): FileLock | null;
/** `wait`: until it is free; `signal` gives up. */
export function lockFile(
  path: string,
  mode: LockMode,
  patience: 'wait',
  signal?: AbortSignal,
): Promise<FileLock>;
export function lockFile(
  path: string,
  mode: LockMode,
  patience: 'try' | 'wait',
  signal?: AbortSignal,
): FileLock | null | Promise<FileLock> {
  return patience === 'try' ? tryLock(path, mode) : waitForLock(path, mode, signal);
}

function tryLock(path: string, mode: LockMode): FileLock | null {
  const lock = addon().lockFile(path, mode === 'exclusive');
  if (lock === -ERRNO.EWOULDBLOCK) return null;
  const native = take('lock', path, lock);
  return { close: () => void native.close() };
}

// A thread that sleeps in flock(2) could not be woken, and would keep the
// process from ending: so ask again and again.
async function waitForLock(path: string, mode: LockMode, signal?: AbortSignal): Promise<FileLock> {
  for (;;) {
    signal?.throwIfAborted();
    const lock = tryLock(path, mode);
    if (lock !== null) return lock;
    await delay(LOCK_RETRY_MS, undefined, signal === undefined ? {} : { signal });
  }
}

/** Mounts a bpf file system on an existing directory. */
export function mountBpffs(path: string): void {
  count('mount bpf file system on', path, addon().mountBpffs(path));
}

/** The file system's magic number, such as BPF_FS_MAGIC; throws ENOENT. */
export function statfsType(path: string): number {
  return count('statfs', path, addon().statfsType(path));
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
