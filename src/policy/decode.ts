// Bytes to text: size, encoding and characters, before anything else looks.

import { sourceOf, type Source } from '../base/source.js';
import type { Diagnostic, Position } from '../base/error.js';
import { collect } from './report.js';

/** The largest policy file: 8 MiB. Long address lists belong in set files. */
export const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Tab and line ends are the only control characters of a policy. Characters
 * that reorder or hide text are refused too: what is enforced must be what the
 * reader of the file sees.
 */
const FORBIDDEN =
  /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\r(?!\n)/g;

/** The text of a policy file without its byte order mark, or why it cannot be read. Pure. */
export function decodeText(
  bytes: Uint8Array,
  file: string,
): { source?: Source; diagnostics: readonly Diagnostic[] } {
  if (bytes.length > MAX_BYTES) {
    const message = `the file has ${bytes.length} bytes, more than ${MAX_BYTES} (8 MiB)`;
    const fix = 'move long address lists into set files: sets: {NAME: {file: PATH}}';
    return {
      diagnostics: [{ severity: 'error', code: 'too-large', message, fix, at: startOf(file) }],
    };
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { diagnostics: [explainEncoding(bytes, file)] };
  }
  const source = sourceOf(text, file);
  const { report, diagnostics } = collect(source);
  for (const match of text.matchAll(FORBIDDEN)) {
    const code = match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    const what =
      match[0] === '\r'
        ? 'a carriage return without a line feed'
        : `the control character U+${code}`;
    report(
      'control-character',
      { start: match.index, end: match.index + 1 },
      `${what} is not allowed in a policy`,
      'remove it',
    );
    if (diagnostics.length >= 20) break;
  }
  return diagnostics.length > 0 ? { diagnostics } : { source, diagnostics };
}

function startOf(file: string): Position {
  return { file, line: 1, column: 1, length: 1, text: '' };
}

function explainEncoding(bytes: Uint8Array, file: string): Diagnostic {
  const fix = 'save the file as UTF-8';
  const isUtf16 =
    (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (isUtf16)
    return {
      severity: 'error',
      code: 'encoding',
      message: 'the file is UTF-16, a policy is UTF-8',
      fix,
      at: startOf(file),
    };
  const at = firstInvalid(bytes);
  const before = new TextDecoder().decode(bytes.subarray(0, at));
  const rest = new TextDecoder().decode(bytes.subarray(at, at + 400));
  const source = sourceOf(before + rest, file);
  const hex = (bytes[at] ?? 0).toString(16).padStart(2, '0');
  const { report, diagnostics } = collect(source);
  report(
    'encoding',
    { start: before.length, end: before.length + 1 },
    `byte 0x${hex} is not UTF-8 here`,
    fix,
  );
  return diagnostics[0] as Diagnostic;
}

/** Offset of the first sequence of bytes that is not UTF-8, found by halving. */
function firstInvalid(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    if (isPrefixOfText(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  const end = isPrefixOfText(bytes.subarray(0, bad)) ? bad : good;
  const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, end), {
    stream: true,
  });
  return new TextEncoder().encode(whole).length;
}

function isPrefixOfText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
