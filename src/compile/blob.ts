// What user space wants to read back, as the bytes of the text table.

import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { CgfwError } from '../base/error.js';
import type { Names, Program } from './program.js';

/** `cgfw` and the version of this layout, little-endian like all of it. */
const MAGIC = 0x77666763;
const VERSION = 1;
const HEADER_WORDS = 6;
const HEADER_BYTES = HEADER_WORDS * 4;
/**
 * Names of a large policy are megabytes of JSON that say nearly the same again
 * and again: the fastest deflate leaves a tenth of them in kernel memory, which
 * is allocated twice. Small ones are left readable in a dump.
 */
const DEFLATE_FROM = 64 * 1024;

/**
 * Header (magic, version, bytes of text, bytes of names as stored, bytes of
 * names as JSON, CRC-32 of the rest), then the policy text in UTF-8, then the
 * names as JSON, deflated when the two lengths differ.
 */
export function encodeBlob({ text, names }: Pick<Program, 'text' | 'names'>): Uint8Array {
  const textBytes = Buffer.from(text);
  const json = Buffer.from(JSON.stringify(names));
  const stored = json.length < DEFLATE_FROM ? json : deflateSync(json, { level: 1 });
  const blob = new Uint8Array(HEADER_BYTES + textBytes.length + stored.length);
  blob.set(textBytes, HEADER_BYTES);
  blob.set(stored, HEADER_BYTES + textBytes.length);
  const header = new DataView(blob.buffer);
  const checksum = crc32(blob.subarray(HEADER_BYTES));
  [MAGIC, VERSION, textBytes.length, stored.length, json.length, checksum].forEach((word, at) =>
    header.setUint32(at * 4, word, true),
  );
  return blob;
}

const known = new WeakMap<Program, Uint8Array>();

/** As encodeBlob, made once for each program, which may be megabytes; not to be changed. */
export function blobOf(program: Program): Uint8Array {
  const blob = known.get(program) ?? encodeBlob(program);
  known.set(program, blob);
  return blob;
}

/** Names from before there were policies of interfaces have none. */
function completed(names: Partial<Names>): Names {
  return (names.interfaces === undefined ? { ...names, interfaces: [] } : names) as Names;
}

/** What a blob holds. */
export interface Decoded {
  readonly text: string;
  readonly names: Names;
}

/**
 * Text and names from the text table. Throws `abi` when they were written by
 * another version or are damaged: they are then not to be believed. Bytes after
 * the blob, as its table has them, are ignored.
 */
export function decodeBlob(blob: Uint8Array): Decoded {
  const lengths = readHeader(blob);
  const body = Buffer.from(
    blob.buffer,
    blob.byteOffset + HEADER_BYTES,
    lengths.text + lengths.stored,
  );
  if (crc32(body) !== lengths.checksum) throw damaged('its checksum does not match');
  const stored = body.subarray(lengths.text);
  try {
    const json = lengths.stored === lengths.json ? stored : inflateSync(stored);
    return {
      text: body.toString('utf8', 0, lengths.text),
      names: completed(JSON.parse(json.toString()) as Partial<Names>),
    };
  } catch (cause) {
    throw damaged('its names cannot be read', cause);
  }
}

function readHeader(blob: Uint8Array) {
  const lengths = readLengths(blob);
  if (HEADER_BYTES + lengths.text + lengths.stored > blob.length) throw damaged('it is cut short');
  return lengths;
}

function readLengths(blob: Uint8Array) {
  if (blob.length < HEADER_BYTES) throw damaged('it is cut short');
  const view = new DataView(blob.buffer, blob.byteOffset, HEADER_BYTES);
  const word = (at: number): number => view.getUint32(at * 4, true);
  if (word(0) !== MAGIC) throw damaged('it does not begin as one of ours');
  if (word(1) !== VERSION) throw damaged(`its version is ${word(1)}, this cgfw reads ${VERSION}`);
  return { text: word(2), stored: word(3), json: word(4), checksum: word(5) };
}

function damaged(why: string, cause?: unknown): CgfwError {
  return new CgfwError(`the loaded policy text cannot be read: ${why}`, {
    code: 'abi',
    fix: 'run `cgfw apply` to load the policy again',
    cause,
  });
}
