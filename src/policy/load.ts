// The whole way from bytes to a policy, for callers that have the set files.

import type { Diagnostic } from '../base/error.js';
import { parseDocument } from './parse.js';
import { hasErrors, sortDiagnostics } from './report.js';
import { resolvePolicy, type Host, type ResolveResult } from './resolve.js';
import type { SetFiles } from './sets.js';
import type { PolicyTree } from './tree.js';
import { validateTree } from './validate.js';

/** Parses, validates and resolves; every mistake of the file at once. Pure. */
export function readPolicy(
  bytes: Uint8Array,
  file: string,
  sets: SetFiles,
  host?: Host,
): ResolveResult {
  const { tree, diagnostics } = parseDocument(bytes, file);
  return tree === undefined ? { diagnostics } : readTree(tree, diagnostics, sets, host);
}

/** As readPolicy, for a caller that parsed already to learn which set files to read. */
export function readTree(
  tree: PolicyTree,
  parsed: readonly Diagnostic[],
  sets: SetFiles,
  host?: Host,
): ResolveResult {
  const shape = validateTree(tree);
  const { policy, diagnostics: meaning } = resolvePolicy(tree, sets, host);
  const diagnostics = sortDiagnostics([...parsed, ...shape, ...meaning], tree.source.file);
  return policy === undefined || hasErrors(diagnostics) ? { diagnostics } : { policy, diagnostics };
}
