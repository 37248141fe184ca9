// Loads the native addon: no other file does. Its calls answer a value or -errno.

import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../../base/error.js';
import { PACKAGE_ROOT } from '../place.js';
import type {
  LookupBatch,
  MapInfo,
  MapSpec,
  NetInterface,
  OnBatch,
  ProgramInfo,
  TestRunResult,
} from './types.js';

type Errno = number;
export interface Failure {
  readonly errno: Errno;
  readonly log: string;
}

export interface NativeMap {
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
  equals(offset: number, bytes: Uint8Array): boolean | Errno;
  loadWord(offset: number): bigint | Errno;
  storeWord(offset: number, value: bigint): Errno;
  close(): Errno;
}

export interface NativeProgram {
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
export interface LinkColumns {
  readonly words: Float64Array;
  readonly cgroups: BigUint64Array;
}

export interface NativeLink {
  info(): LinkColumns | Errno;
  pin(path: string): Errno;
  update(program: NativeProgram, expected: NativeProgram | null): Errno;
  detach(): Errno;
  close(): Errno;
}

export interface NativeObject {
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

export interface NativeRing {
  open(map: NativeMap, onBatch: OnBatch): Errno;
  consume(): number | Errno;
  pending(): number | Errno;
  ref(): void;
  unref(): void;
  close(): Errno;
}

export interface NativeWatch {
  open(onChange: () => void): Errno;
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
  attachMessages(program: NativeProgram, map: NativeMap): Errno;
  attachXdp(program: NativeProgram, ifindex: number, flags: number): NativeLink | Errno;
  listInterfaces(): NetInterface[] | Errno;
  newWatch(): NativeWatch;
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
  trimMemory(): number;
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

const ADDON_PATH = join(PACKAGE_ROOT, 'native/build/Release/cgfw.node');

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
export function addon(): Addon {
  return (loaded ??= loadAddon());
}

// What only these files may see of an object: its native half.
export const NATIVE = Symbol('native');
