// Text to tree: YAML 1.2, one document, nothing clever.

import { parseDocument as parseYaml, type YAMLParseError } from 'yaml';
import type { Diagnostic } from '../base/error.js';
import type { Source } from '../base/source.js';
import { buildTree } from './build.js';
import { decodeText } from './decode.js';
import { collect, sortDiagnostics, type Report } from './report.js';
import { scanTokens } from './scan.js';
import type { PolicyTree, TreeNode } from './tree.js';

/** What came of reading a text; a tree can come with diagnostics of its keys and aliases. */
export interface ParseResult {
  readonly tree?: PolicyTree;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads the bytes of a policy file. At most 8 MiB of UTF-8, 50,000 keys,
 * 500,000 tokens and 32 levels, which keeps it under a second; of broken YAML
 * the first mistake is told, the others mostly follow from it. Pure.
 */
export function parseDocument(bytes: Uint8Array, file: string): ParseResult {
  const { source, diagnostics: unreadable } = decodeText(bytes, file);
  if (source === undefined) return { diagnostics: unreadable };
  const { report, diagnostics } = collect(source);
  const root = scanTokens(source, report) ? parseSource(source, report) : undefined;
  const sorted = sortDiagnostics(diagnostics);
  return root === undefined ? { diagnostics: sorted } : { tree: { source, root }, diagnostics: sorted };
}

function parseSource(source: Source, report: Report): TreeNode | undefined {
  const document = withoutStackTraces(() =>
    // The parser's own duplicate check is quadratic: 196 s at 100,000 keys.
    parseYaml(source.text, {
      version: '1.2', schema: 'core', merge: false, uniqueKeys: false, strict: true, logLevel: 'silent', prettyErrors: false,
    }),
  );
  const [error] = [...document.errors].sort((a, b) => a.pos[0] - b.pos[0]);
  if (error !== undefined) {
    reportSyntax(error, source, report);
    return undefined;
  }
  const { contents } = document;
  const tree = contents === null ? undefined : buildTree(contents, source, report);
  if (contents === null || (tree !== undefined && isEmpty(tree))) {
    report('empty', { start: 0, end: 0 }, 'the policy is empty; an empty file never means "remove everything"', 'write a policy, or run cgfw down to remove what is in force');
    return undefined;
  }
  return tree;
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
  return node.kind === 'map' ? node.entries.size === 0 : node.kind === 'list' ? node.items.length === 0 : node.value === null;
}

const SYNTAX: Readonly<Record<string, readonly [message: string, fix: string]>> = {
  TAB_AS_INDENT: ['a tab is used to indent', 'indent with spaces'],
  BAD_INDENT: ['the indentation fits no level above', 'indent all keys of a level by the same number of spaces'],
  BAD_ALIAS: ['an alias or anchor has no proper name', 'quote the text if it begins with * or &, such as "*"'],
  MULTILINE_IMPLICIT_KEY: ['a key goes over more than one line', 'put the key and its colon on one line; look for a missing colon or quote above'],
  BLOCK_AS_IMPLICIT_KEY: ['a value has a colon and a space in it', 'quote the value, or begin a new line for the key'],
  BLOCK_IN_FLOW: ['a colon here makes a key inside brackets', 'quote an address that ends in a colon, such as "::"'],
  BAD_SCALAR_START: ['a value cannot begin with this character', 'quote the value'],
  MISSING_CHAR: ['a character is missing here', 'close the quote or bracket, put a comma between items, or a colon after the key'],
  KEY_OVER_1024_CHARS: ['a key has more than 1024 characters', 'look for a missing quote or bracket above'],
};

function reportSyntax(error: YAMLParseError, source: Source, report: Report): void {
  const [start, end] = error.pos;
  const length = source.text.length;
  const at = { start: Math.min(start, length), end: Math.min(end, length) };
  const [message, fix] = SYNTAX[error.code] ?? [];
  const own = error.message.replace(/ at line \d+, column \d+:?\s*$/, '').replace(/\.$/, '');
  report('yaml-syntax', at, `this is not YAML: ${message ?? own.charAt(0).toLowerCase() + own.slice(1)}`, fix ?? 'check indentation, quotes, brackets and colons around this place');
}
