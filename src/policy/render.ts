// Diagnostics for people and for programs.

import type { Diagnostic, Position } from '../base/error.js';

/** Columns of source text that are shown; a longer line is cut around the caret. */
const MAX_SHOWN = 100;
const TAB_WIDTH = 4;

export interface RenderOptions {
  /** With ANSI colours, for a terminal. */
  readonly color?: boolean;
}

/**
 * A diagnostic as text, without a line end:
 *
 *     policy.yaml:14:15: error[port-range]: port 70000 is above 65535
 *        14 |       ports: [70000]
 *           |               ^^^^^
 *       fix: use a port from 1 to 65535 or a range such as 8000-8999
 */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions = {}): string {
  const { severity, code, message, fix, at } = diagnostic;
  const paint = options.color === true ? colour : plain;
  const tone = severity === 'error' ? 31 : 33;
  const place = at === undefined ? '' : `${visible(at.file)}:${at.line}:${at.column}: `;
  const head = `${paint(1, place)}${paint(tone, `${severity}[${code}]`)}: ${visible(message)}`;
  const shown =
    at === undefined || at.text === '' ? [] : renderSource(at, (text) => paint(tone, text));
  return [head, ...shown, `  fix: ${visible(fix)}`].join('\n');
}

function plain(_style: number, text: string): string {
  return text;
}

function colour(style: number, text: string): string {
  return text === '' ? text : `\x1b[${style}m${text}\x1b[0m`;
}

function renderSource(at: Position, paint: (text: string) => string): readonly string[] {
  const characters = [...at.text];
  const from = Math.max(0, at.column - 1);
  const start = from > MAX_SHOWN - 30 ? from - 30 : 0;
  const end = Math.min(characters.length, start + MAX_SHOWN);
  const until = Math.min(Math.max(from + at.length, from + 1), Math.max(end, from + 1));
  const cell = (list: readonly string[]): string => list.map(showCharacter).join('');
  const lead = (start > 0 ? '...' : '') + cell(characters.slice(start, from));
  const marked = cell(characters.slice(from, until));
  const tail = cell(characters.slice(until, end)) + (end < characters.length ? '...' : '');
  const number = String(at.line).padStart(5);
  const caret = ' '.repeat(widthOf(lead)) + paint('^'.repeat(Math.max(1, widthOf(marked))));
  return [
    `${number} | ${lead}${marked}${tail}`.trimEnd(),
    `${' '.repeat(number.length)} | ${caret}`,
  ];
}

/** A tab becomes spaces, and nothing that could move a terminal's cursor passes. */
function showCharacter(character: string): string {
  return character === '\t' ? ' '.repeat(TAB_WIDTH) : visible(character);
}

function visible(text: string): string {
  return text
    .replace(/[\0-\x1f\x7f]/g, (c) =>
      String.fromCharCode(c === '\x7f' ? 0x2421 : 0x2400 + c.charCodeAt(0)),
    )
    .replace(/[\u0080-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, '\ufffd');
}

/** Columns on a terminal: East Asian wide characters and emoji take two, combining marks none. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue;
    width += isWide(character.codePointAt(0) ?? 0) ? 2 : 1;
  }
  return width;
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** A diagnostic as JSON shows it. */
export interface JsonDiagnostic {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly fix: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly length?: number;
}

/** Diagnostics as plain data for `--json`. */
export function diagnosticsToJson(diagnostics: readonly Diagnostic[]): readonly JsonDiagnostic[] {
  return diagnostics.map(({ severity, code, message, fix, at }) => ({
    severity,
    code,
    message,
    fix,
    ...(at === undefined
      ? {}
      : { file: at.file, line: at.line, column: at.column, length: at.length }),
  }));
}
