// A policy file with the set files it names, read as one.

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Diagnostic } from '../base/error.js';
import { MAX_BYTES } from '../policy/decode.js';
import { readTree } from '../policy/load.js';
import { parseNetset } from '../policy/netset.js';
import { parseDocument } from '../policy/parse.js';
import type { ParseResult } from '../policy/parse.js';
import type { Policy } from '../policy/policy.js';
import { setFilesOf, setSourcesOf } from '../policy/sets.js';
import type { SetFile, SetSource } from '../policy/sets.js';
import { readSafely } from './safe-read.js';

/** Over 10 million lines; a larger list is a mistake. */
const MAX_SET_BYTES = 256 << 20;

export interface Reading {
  /** Absent when an error is among the diagnostics. */
  readonly policy?: Policy;
  readonly diagnostics: readonly Diagnostic[];
  /** Absolute paths whose change can change the outcome: the policy and its set files. */
  readonly files: readonly string[];
  readonly sets: readonly SetSource[];
}

/** Reads the same policy file again and again; unchanged set files are parsed once. */
export class PolicyFile {
  readonly path: string;
  readonly #uid: number;
  readonly #sets = new Map<string, { readonly signature: string; readonly file: SetFile }>();
  #parsed: { readonly bytes: Uint8Array; readonly result: ParseResult } | undefined;
  #last: { readonly key: string; readonly reading: Reading } | undefined;

  constructor(path: string, uid: number) {
    this.path = resolve(path);
    this.#uid = uid;
  }

  /** All that is wrong at once, or the policy. Unchanged content gives the very same Reading. */
  read(): Reading {
    const found = readSafely(this.path, MAX_BYTES, this.#uid);
    if (found.kind === 'failed') return this.#unreadable(found);
    const { tree, diagnostics } = this.#parse(found.bytes);
    if (tree === undefined) return { diagnostics, files: [this.path], sets: [] };
    const mentions = setFilesOf(tree);
    const files = new Map(mentions.map(({ path }) => [path, this.#readSet(this.#absolute(path))]));
    const key = this.#keyOf(found.bytes, files);
    if (this.#last?.key === key) return this.#last.reading;
    const reading: Reading = {
      ...readTree(tree, diagnostics, files, { addresses: hostAddresses() }),
      files: [this.path, ...mentions.map(({ path }) => this.#absolute(path))],
      sets: setSourcesOf(tree),
    };
    this.#last = { key, reading };
    return reading;
  }

  /** Whether policy and set files hold more than so many bytes together; reads no set file. */
  isLargerThan(bytes: number): boolean {
    const found = readSafely(this.path, MAX_BYTES, this.#uid);
    if (found.kind === 'failed') return false;
    if (found.bytes.length > bytes) return true;
    const { tree } = this.#parse(found.bytes);
    const sets = tree === undefined ? [] : setFilesOf(tree);
    const sizes = sets.map(({ path }) => sizeOf(this.#absolute(path)));
    return sizes.reduce((sum, size) => sum + size, found.bytes.length) > bytes;
  }

  #parse(bytes: Uint8Array): ParseResult {
    if (this.#parsed !== undefined && Buffer.compare(this.#parsed.bytes, bytes) === 0)
      return this.#parsed.result;
    const result = parseDocument(bytes, this.path);
    this.#parsed = { bytes, result };
    return result;
  }

  #absolute(path: string): string {
    return resolve(dirname(this.path), path);
  }

  #unreadable(found: {
    readonly why: 'unreadable' | 'unsafe-owner' | 'too-large';
    readonly reason: string;
    readonly fix: string;
  }): Reading {
    const { why, reason, fix } = found;
    const diagnostic: Diagnostic = {
      severity: 'error',
      code: why,
      message: `the policy file ${this.path} cannot be used: ${reason}`,
      fix,
    };
    return { diagnostics: [diagnostic], files: [this.path], sets: [] };
  }

  #keyOf(bytes: Uint8Array, files: ReadonlyMap<string, SetFile>): string {
    const hash = createHash('sha256').update(bytes);
    for (const file of files.values()) {
      hash.update(file.kind === 'read' ? file.sha256 : `failed: ${file.reason}`).update('\0');
    }
    return hash.digest('hex');
  }

  #readSet(path: string): SetFile {
    const signature = signatureOf(path);
    const known = this.#sets.get(path);
    if (known !== undefined && known.signature === signature) return known.file;
    const file = this.#parseSet(path, known?.file);
    if (signature !== null) this.#sets.set(path, { signature, file });
    return file;
  }

  #parseSet(path: string, known: SetFile | undefined): SetFile {
    const found = readSafely(path, MAX_SET_BYTES, this.#uid);
    if (found.kind === 'failed') return { kind: 'failed', reason: found.reason, fix: found.fix };
    const sha256 = createHash('sha256').update(found.bytes).digest('hex');
    const previous = known?.kind === 'read' ? known.netset : undefined;
    return { kind: 'read', sha256, netset: parseNetset(found.bytes, path, previous) };
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Changes whenever the file's content may have changed; null when there is none. */
function signatureOf(path: string): string | null {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return null;
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':');
}

function hostAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address.split('%')[0] ?? address);
}
