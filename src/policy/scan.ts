// A look over the tokens before the YAML parser runs: limits, and what we do
// not take.
//
// The lexer is linear and never recurses, the parser is neither: deep nesting
// makes it overflow the stack (which can end the process), and errors in their
// thousands cost seconds. So limits are checked here, on a stream that is left
// as soon as one is passed.

import { Lexer } from 'yaml';
import type { Source, Span } from '../base/source.js';
import type { Report } from './report.js';

/** Most keys in a policy file. */
export const MAX_KEYS = 50_000;
/** Most tokens: keys, values, punctuation, comments and line ends together. */
export const MAX_TOKENS = 400_000;
/** Longest key or value, in characters. */
export const MAX_VALUE = 65_536;
/** So many tags and directives are told of one file. */
const MAX_REFUSED = 100;
/** Deepest nesting; a policy needs 9 levels. */
export const MAX_DEPTH = 32;

/** The lexer puts this before a plain or block scalar. */
const SCALAR = '\x1f';
/** The lexer puts this where an open bracket meets text that cannot be in it. */
const FLOW_END = '\x18';
const IGNORED = new Set(['\x02', SCALAR]);

interface State {
  offset: number;
  lineStart: number;
  tokens: number;
  keys: number;
  /** Offsets of the brackets that are open. */
  readonly open: number[];
  /** Columns where a block collection or its entries begin. */
  columns: number[];
  isLineStart: boolean;
  hasContent: boolean;
  isEnded: boolean;
  hasStart: boolean;
  /** The token is a plain or block scalar, whatever it begins with. */
  isScalar: boolean;
}

/** Reports what is refused whatever it means; the tokens, when the parser may run on them. Pure. */
export function scanTokens(source: Source, report: Report): readonly string[] | undefined {
  const tokens: string[] = [];
  const state: State = {
    offset: 0,
    lineStart: 0,
    tokens: 0,
    keys: 0,
    open: [],
    columns: [],
    isLineStart: true,
    hasContent: false,
    isEnded: false,
    hasStart: false,
    isScalar: false,
  };
  let refused = 0;
  const refuse: Report = (...args) => {
    refused++;
    report(...args);
  };
  for (const token of new Lexer().lex(source.text)) {
    tokens.push(token);
    if (token === FLOW_END) break;
    if (IGNORED.has(token)) {
      state.isScalar = token === SCALAR;
      continue;
    }
    const at = { start: state.offset, end: state.offset + token.length };
    if (!state.isScalar && isOpenQuote(token)) {
      refuse(
        'yaml-syntax',
        { start: at.start, end: at.start + 1 },
        'this is not YAML: this quote is not closed',
        `put ${token[0]} at the end of the text`,
      );
      return undefined;
    }
    if (isMismatched(state, source.text, token)) break;
    if (isOverLimit(state, token, at, refuse) || isOtherDocument(state, token, at, refuse))
      return undefined;
    if (!state.isScalar) refuseFeatures(token, at, refuse);
    follow(state, token);
    state.isScalar = false;
    if (refused >= MAX_REFUSED) return undefined;
  }
  refuseOpenBracket(state, source.text, refuse);
  return refused === 0 ? tokens : undefined;
}

/** Points at the bracket and not at the place where the parser gives up. */
function refuseOpenBracket({ open }: State, text: string, refuse: Report): void {
  const start = open.at(-1);
  if (start === undefined) return;
  const close = text[start] === '[' ? ']' : '}';
  refuse(
    'yaml-syntax',
    { start, end: start + 1 },
    'this is not YAML: this bracket is not closed',
    `close it with ${close}; lines inside are indented deeper than its key`,
  );
}

function isMismatched({ open }: State, text: string, token: string): boolean {
  const opened = text[open.at(-1) ?? -1];
  return (token === ']' && opened === '{') || (token === '}' && opened === '[');
}

function isOpenQuote(token: string): boolean {
  const [first] = token;
  if (first !== '"' && first !== "'") return false;
  return token.length < 2 || !token.endsWith(first);
}

function isOverLimit(state: State, token: string, at: Span, refuse: Report): boolean {
  if (++state.tokens > MAX_TOKENS) {
    refuse(
      'too-many-keys',
      at,
      `the file has more than ${MAX_TOKENS} tokens (keys, values, punctuation, comments, line ends)`,
      SPLIT,
    );
    return true;
  }
  if (token === ':' && ++state.keys > MAX_KEYS) {
    refuse('too-many-keys', at, `the file has more than ${MAX_KEYS} keys`, SPLIT);
    return true;
  }
  if (token.length > MAX_VALUE && (state.isScalar || !/^[ \t#]/.test(token))) {
    refuse(
      'too-large',
      at,
      `one value has ${token.length} characters, more than ${MAX_VALUE}`,
      'look for a missing quote, or move long address lists into set files',
    );
    return true;
  }
  if (state.columns.length + state.open.length > MAX_DEPTH) {
    refuse(
      'too-deep',
      at,
      `the text is nested more than ${MAX_DEPTH} levels deep`,
      'a policy needs 9 levels; look for brackets that are not closed',
    );
    return true;
  }
  return false;
}

const SPLIT = 'move long address lists into set files: sets: {NAME: {file: PATH}}';

function isOtherDocument(state: State, token: string, at: Span, refuse: Report): boolean {
  const isBlank = token === '' || token === '\n' || token === '\r\n' || /^[ \t#]/.test(token);
  if (isBlank || token.startsWith('%')) return false;
  const isSecond =
    token === '---'
      ? state.hasStart || state.hasContent || state.isEnded
      : state.isEnded && token !== '...';
  if (isSecond)
    refuse(
      'yaml-documents',
      at,
      'a second document begins here, a policy file has one',
      'keep one document; there is one policy file for a host',
    );
  if (token === '---') state.hasStart = true;
  else if (token === '...') state.isEnded = true;
  else state.hasContent = true;
  return isSecond;
}

function refuseFeatures(token: string, at: Span, refuse: Report): void {
  if (token.startsWith('%')) refuseDirective(token, at, refuse);
  else if (token.startsWith('!')) {
    refuse(
      'yaml-tag',
      at,
      `the tag ${token.slice(0, 40)} is not allowed: a policy has no tags`,
      'remove the tag; quote the value if it must be text',
    );
  }
}

function refuseDirective(token: string, at: Span, refuse: Report): void {
  const [name, version] = token.split(/\s+/);
  if (name === '%TAG')
    refuse(
      'yaml-tag',
      at,
      'the directive %TAG is not allowed: a policy has no tags',
      'remove the line',
    );
  else if (name !== '%YAML')
    refuse('yaml-version', at, 'this directive is not known', 'remove the line');
  else if (version !== '1.2') {
    const found = version === undefined ? 'no version' : `YAML ${version.slice(0, 10)}`;
    refuse(
      'yaml-version',
      at,
      `the directive asks for ${found}, a policy is YAML 1.2`,
      'remove the line or write %YAML 1.2',
    );
  }
}

/** Keeps offset, line and nesting: a block level begins at a column further right than the last. */
function follow(state: State, token: string): void {
  const column = state.offset - state.lineStart;
  state.offset += token.length;
  const newline = token.lastIndexOf('\n');
  if (newline >= 0) {
    state.lineStart = state.offset - (token.length - newline - 1);
    if (token.length <= 2) state.isLineStart = true;
    if (token.length <= 2) return;
  }
  if (token === '{' || token === '[') state.open.push(state.offset - token.length);
  else if (token === '}' || token === ']') state.open.pop();
  if (token === '' || (!state.isScalar && /^[ \t#]/.test(token)) || state.open.length > 0) return;
  const { columns } = state;
  const top = (): number => columns[columns.length - 1] ?? -1;
  if (state.isLineStart) while (columns.length > 0 && top() >= column) columns.pop();
  const isEntry = state.isLineStart || token === '-' || token === '?';
  if (isEntry && column > top()) columns.push(column);
  state.isLineStart = false;
}
