// Text to tree: YAML 1.2, one document, nothing clever.

import { Composer, Parser, type Document } from 'yaml';
import type { Diagnostic } from '../base/error.js';
import type { Source } from '../base/source.js';
import { buildTree } from './build.js';
import { decodeText } from './decode.js';
import { collect, sortDiagnostics, type Report } from './report.js';
import { explainSyntax } from './syntax.js';
import { scanTokens } from './scan.js';
import type { PolicyTree, TreeNode } from './tree.js';

/** What came of reading a text; a tree can come with diagnostics of its keys and aliases. */
export interface ParseResult {
  readonly tree?: PolicyTree;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads the bytes of a policy file. At most 8 MiB of UTF-8, 50,000 keys,
 * 400,000 tokens and 32 levels, which keeps it under a second; of broken YAML
 * the first mistake is told, the others mostly follow from it. Pure.
 */
export function parseDocument(bytes: Uint8Array, file: string): ParseResult {
  const { source, diagnostics: unreadable } = decodeText(bytes, file);
  if (source === undefined) return { diagnostics: unreadable };
  const { report, diagnostics } = collect(source);
  const tokens = scanTokens(source, report);
  const root = tokens === undefined ? undefined : parseTokens(tokens, source, report);
  const sorted = sortDiagnostics(diagnostics);
  return root === undefined
    ? { diagnostics: sorted }
    : { tree: { source, root }, diagnostics: sorted };
}

function parseTokens(
  tokens: readonly string[],
  source: Source,
  report: Report,
): TreeNode | undefined {
  const document = withoutStackTraces(() => compose(tokens, source.text.length));
  const error = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0];
  if (error !== undefined) {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- yaml declares it twice
    explainSyntax(error, source, report);
    return undefined;
  }
  const { contents } = document;
  const tree = contents === null ? undefined : buildTree(contents, source, report);
  if (contents === null || (tree !== undefined && isEmpty(tree))) {
    report(
      'empty',
      { start: 0, end: 0 },
      'the policy is empty; an empty file never means "remove everything"',
      'write a policy, or run cgfw down to remove what is in force',
    );
    return undefined;
  }
  return tree;
}

/** The parser and the composer on tokens that scanTokens has seen, so that the text is cut into tokens once. */
function compose(tokens: readonly string[], length: number): Document.Parsed {
  // The composer's own duplicate check is quadratic: 196 s at 100,000 keys.
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: false,
    strict: true,
    logLevel: 'silent',
  });
  const parser = new Parser();
  const documents: Document.Parsed[] = [];
  for (const token of tokens)
    for (const node of parser.next(token))
      documents.push(...(composer.next(node) as Iterable<Document.Parsed>));
  for (const node of parser.end())
    documents.push(...(composer.next(node) as Iterable<Document.Parsed>));
  documents.push(...(composer.end(true, length) as Iterable<Document.Parsed>));
  return documents[0] as Document.Parsed;
}

/** A text full of syntax errors makes an error object for each; their stack traces would take seconds. */
function withoutStackTraces<T>(parse: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return parse();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

function isEmpty(node: TreeNode): boolean {
  return node.kind === 'map'
    ? node.entries.size === 0
    : node.kind === 'list'
      ? node.items.length === 0
      : node.value === null;
}
