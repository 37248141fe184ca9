// The one error class, and the diagnostics that user mistakes become.

/** Where in a text a diagnostic points; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** How many characters the caret line marks, at least 1. */
  readonly length: number;
  /** The whole source line, for the caret display. */
  readonly text: string;
}

export type Severity = 'error' | 'warning';

/**
 * One mistake of the user's, with what to do about it. Diagnostics are
 * collected and returned together; they are never thrown.
 */
export interface Diagnostic {
  readonly severity: Severity;
  readonly code: DiagnosticCode;
  /** What was found and what is allowed: lower case, no full stop. */
  readonly message: string;
  readonly fix: string;
  readonly at?: Position;
}

/** Every code has an entry in docs/errors.md and a case that triggers it. */
export const DIAGNOSTIC_CODES = [
  // reading the file
  'unreadable',
  'unsafe-owner',
  'too-large',
  'too-deep',
  'too-many-keys',
  'too-many-mistakes',
  'encoding',
  'control-character',
  // YAML
  'yaml-syntax',
  'yaml-version',
  'yaml-tag',
  'yaml-alias',
  'yaml-merge',
  'yaml-documents',
  'duplicate-key',
  'forbidden-key',
  'empty',
  // schema
  'unknown-key',
  'missing-key',
  'wrong-type',
  'wrong-value',
  // names
  'duplicate-name',
  'reserved-name',
  'unknown-set',
  'unknown-service',
  // values
  'address',
  'host-bits',
  'port',
  'port-range',
  'protocol',
  'icmp-type',
  'selector',
  'shadowed-selector',
  'reject-ingress',
  // sets
  'set-file',
  'set-guard',
  'normalised-prefixes',
  'dangerous-set',
  // meaning
  'unreachable-rule',
  'too-big',
] as const;

export type DiagnosticCode = (typeof DIAGNOSTIC_CODES)[number];

/** What stops an operation that is not a mistake in the policy text. */
export const ERROR_CODES = [
  'invalid-policy',
  'usage',
  'not-root',
  'no-cgroup2',
  'no-bpf',
  'no-bpffs',
  'not-loaded',
  'locked',
  'kernel',
  'exclusive-program',
  'too-many-programs',
  'verifier',
  'abi',
  'no-cgroup',
  'no-interface',
  'other-namespace',
  'foreign-program',
  'interface-mode',
  'too-many-interfaces',
  'lockout',
  'not-in-step',
  'unsupported',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorDetails {
  readonly code: ErrorCode;
  /** How to put it right, as an instruction. */
  readonly fix: string;
  readonly diagnostics?: readonly Diagnostic[];
  /** Positive errno and the operation it came from, when the kernel refused. */
  readonly errno?: number;
  readonly operation?: string;
  readonly cause?: unknown;
}

/** An operation that could not be done: what was found, and the way out. */
export class CgfwError extends Error {
  readonly code: ErrorCode;
  readonly fix: string;
  readonly diagnostics: readonly Diagnostic[];
  readonly errno: number | undefined;
  readonly operation: string | undefined;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'CgfwError';
    this.code = details.code;
    this.fix = details.fix;
    this.diagnostics = details.diagnostics ?? [];
    this.errno = details.errno;
    this.operation = details.operation;
  }
}
