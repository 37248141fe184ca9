// What the YAML parser says, in words that help.

import type { YAMLParseError } from 'yaml';
import type { Source } from '../base/source.js';
import type { Report } from './report.js';

/** The first that matches the parser's code and message. */
const WORDS: readonly (readonly [pattern: RegExp, message: string, fix: string])[] = [
  [/^TAB_AS_INDENT/, 'a tab is used to indent', 'indent with spaces'],
  [
    /Sequence item without - indicator/,
    'this line is indented less than its item and more than its list',
    'indent all keys of an item by the same number of spaces',
  ],
  [
    /same column/,
    'this line is not indented as the others of its level',
    'indent all keys of a level by the same number of spaces',
  ],
  [
    /^BAD_INDENT/,
    'the indentation fits no level above',
    'indent all keys of a level by the same number of spaces',
  ],
  [
    /^(BAD_ALIAS|MULTIPLE_ANCHORS)/,
    'an alias or anchor has no proper name',
    'quote the text if it begins with * or &, such as "*"',
  ],
  [
    /^MULTILINE_IMPLICIT_KEY/,
    'a key goes over more than one line',
    'put a key and its colon on one line, with a space after the colon; look for a missing colon or quote',
  ],
  [
    /^BLOCK_AS_IMPLICIT_KEY/,
    'a value has a colon and a space in it',
    'quote the value, or begin a new line for the key',
  ],
  [
    /^BLOCK_IN_FLOW/,
    'a colon inside brackets belongs to no key',
    'put a comma between items; quote an address that ends in a colon, such as "::"',
  ],
  [/^BAD_SCALAR_START/, 'a value cannot begin with this character', 'quote the value'],
  [
    /(flow-seq-end|flow-map-end) token/,
    'this bracket was not opened',
    'remove it, or open it before',
  ],
  [
    /block-seq-ind on same line/,
    'a list with hyphens begins on the line of its key',
    'begin a new line for the first item, or write the list in brackets',
  ],
  [
    /^UNEXPECTED_TOKEN .*at node end/,
    'there is more text after the end of a value',
    'quote the whole value, or indent the line as those of its level',
  ],
  [/Implicit map keys need/, 'this line has no colon', 'put a colon and a space after the key'],
  [
    /^MISSING_CHAR/,
    'a character is missing here',
    'close the quote or bracket, put a comma between items, or a colon after the key',
  ],
  [
    /^BAD_DQ_ESCAPE/,
    'this escape is not known in double quotes',
    'use single quotes, in which a backslash is a backslash',
  ],
  [
    /^KEY_OVER_1024_CHARS/,
    'a key has more than 1024 characters',
    'look for a missing quote or bracket above',
  ],
];

/** Reports a syntax error, at the first character that is not white space from where the parser stopped. */
export function explainSyntax(error: YAMLParseError, source: Source, report: Report): void {
  const { text } = source;
  let [start, end] = error.pos;
  while (start < text.length && /[ \t]/.test(text[start] ?? '') && error.code !== 'TAB_AS_INDENT')
    start++;
  start = Math.min(start, text.length);
  end = Math.min(Math.max(end, start + 1), text.length);
  const said = `${error.code} ${error.message}`;
  const [, message, fix] = WORDS.find(([pattern]) => pattern.test(said)) ?? [];
  const own = error.message.charAt(0).toLowerCase() + error.message.slice(1);
  report(
    'yaml-syntax',
    { start, end },
    `this is not YAML: ${message ?? own}`,
    fix ?? 'check indentation, quotes, brackets and colons around this place',
  );
}
