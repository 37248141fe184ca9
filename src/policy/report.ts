// Collecting diagnostics: every stage reports, nobody throws.

import { locate, type Source, type Span } from '../base/source.js';
import type { Diagnostic, DiagnosticCode, Severity } from '../base/error.js';

/** Notes one mistake at a place in the source. */
export type Report = (
  code: DiagnosticCode,
  at: Span,
  message: string,
  fix: string,
  severity?: Severity,
) => void;

export interface Findings {
  readonly report: Report;
  readonly diagnostics: Diagnostic[];
}

/** Most mistakes that one stage tells of one file. */
const MAX_DIAGNOSTICS = 1000;

/** A report that collects for one source, up to 1,000 errors and as many warnings, and one that says so. */
export function collect(source: Source): Findings {
  const diagnostics: Diagnostic[] = [];
  const told = { error: 0, warning: 0 };
  const report: Report = (code, at, message, fix, severity = 'error') => {
    const count = told[severity]++;
    if (count > MAX_DIAGNOSTICS) return;
    if (count === MAX_DIAGNOSTICS) [code, message, fix] = TOO_MANY;
    diagnostics.push({ severity, code, message, fix, at: locate(source, at) });
  };
  return { report, diagnostics };
}

const TOO_MANY = [
  'too-many-mistakes',
  `there are more than ${MAX_DIAGNOSTICS} mistakes; the rest is not shown`,
  'correct what is shown first',
] as const;

/** In order of position, the main file before others, each once; a mistake behind an anchor is met once for each alias. */
export function sortDiagnostics(
  diagnostics: readonly Diagnostic[],
  main = diagnostics[0]?.at?.file,
): Diagnostic[] {
  const seen = new Set<string>();
  const unique = diagnostics.filter((d) => {
    const key = JSON.stringify([d.code, d.message, d.at?.file, d.at?.line, d.at?.column]);
    return !seen.has(key) && seen.add(key);
  });
  const rank = (d: Diagnostic): number => (d.at === undefined ? 0 : d.at.file === main ? 1 : 2);
  return unique.sort((a, b) => rank(a) - rank(b) || compareAt(a, b));
}

function compareAt(a: Diagnostic, b: Diagnostic): number {
  if (a.at === undefined || b.at === undefined) return 0;
  if (a.at.file !== b.at.file) return a.at.file < b.at.file ? -1 : 1;
  return a.at.line - b.at.line || a.at.column - b.at.column;
}

/** Whether anything found makes the document unusable. */
export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((d) => d.severity === 'error');
}
