// Named sets and services: their values, and what is wrong with their names.

import type { Span } from '../base/source.js';
import { parsePrefix, prefixOf, type Prefix } from '../base/address.js';
import type { Diagnostic } from '../base/error.js';
import { NO_ADDRESSES, rangesOf, type AddressRanges } from '../base/ranges.js';
import { quote } from '../base/suggest.js';
import type { Netset } from './netset.js';
import type { Report } from './report.js';
import { checkProtocolName } from './services.js';
import {
  child,
  entriesOf,
  itemsOf,
  textOf,
  type MapEntry,
  type PolicyTree,
  type TreeNode,
} from './tree.js';

/** A set file that was read, or why it was not. */
export type SetFile =
  | {
      readonly kind: 'read';
      /** Of the bytes, in hex. */ readonly sha256: string;
      readonly netset: Netset;
    }
  | {
      readonly kind: 'failed';
      /** What happened, such as `no such file`. */ readonly reason: string;
      readonly fix?: string;
    };

/** Set files by their path as written in the policy. */
export type SetFiles = ReadonlyMap<string, SetFile>;

/** A named set that comes from a file; `guard` in per cent, 1 to 100. */
export interface SetSource {
  readonly name: string;
  /** As written: relative to the policy file. */
  readonly file: string;
  readonly guard?: number;
}

/** One mention of a set file, in the order of the document. */
export interface SetFileMention {
  readonly path: string;
  readonly at: Span;
}

export interface NamedSet {
  readonly name: string;
  readonly ranges: AddressRanges;
  /** Whether the addresses come from a file and not from the operator's own hand. */
  readonly isFile: boolean;
  /** It has mistakes, so nothing is said of the rules that use it. */
  readonly isBroken: boolean;
}

/** The built-in set: this host's loopback. */
export const LOCALHOST: NamedSet = {
  name: 'localhost',
  isFile: false,
  isBroken: false,
  ranges: rangesOf([prefixOf(4, [0x7f000000], 8), prefixOf(6, [0, 0, 0, 1], 128)]),
};

/** Every set file that the document names, as written. */
export function setFilesOf(tree: PolicyTree): readonly SetFileMention[] {
  return entriesOf(child(tree.root, 'sets')).flatMap(({ value }) => {
    const file = child(value, 'file');
    const path = textOf(file);
    return path === undefined || path === '' || file === undefined ? [] : [{ path, at: file }];
  });
}

/** Every named set that comes from a file, with its guard. */
export function setSourcesOf(tree: PolicyTree): readonly SetSource[] {
  return entriesOf(child(tree.root, 'sets')).flatMap(({ key, value }) => {
    const file = textOf(child(value, 'file'));
    if (file === undefined) return [];
    const share = /^([1-9][0-9]?|100)%$/.exec(textOf(child(value, 'guard')) ?? '');
    return [{ name: key, file, ...(share === null ? {} : { guard: Number(share[1]) }) }];
  });
}

/** The document's sets by name; one with mistakes in it is known all the same. */
export function resolveSets(
  tree: PolicyTree,
  files: SetFiles,
  report: Report,
  add: (found: readonly Diagnostic[]) => void,
): ReadonlyMap<string, NamedSet> {
  const sets = new Map<string, NamedSet>();
  for (const entry of entriesOf(child(tree.root, 'sets'))) {
    checkSetName(entry, report);
    const file = child(entry.value, 'file');
    const ranges =
      file === undefined
        ? resolveInline(entry.value, report)
        : resolveFile(file, files, report, add);
    sets.set(entry.key, {
      name: entry.key,
      ranges: ranges ?? NO_ADDRESSES,
      isFile: file !== undefined,
      isBroken: ranges === undefined,
    });
  }
  return sets;
}

function checkSetName({ key, at }: MapEntry, report: Report): void {
  if (key === 'any' || key === 'localhost') {
    report(
      'reserved-name',
      at,
      `the name ${key} is built in: it stands for ${key === 'any' ? 'every address' : '127.0.0.0/8 and ::1'}`,
      'choose another name',
    );
  } else if (parsePrefix(key).kind === 'prefix') {
    report(
      'reserved-name',
      at,
      `the name ${quote(key)} is an address`,
      'choose a name that cannot be mistaken for an address',
    );
  } else {
    checkProtocolName(key, at, report);
  }
}

/** The addresses of a list; undefined when there is a mistake in it. */
function resolveInline(node: TreeNode, report: Report): AddressRanges | undefined {
  const items = itemsOf(node);
  const prefixes: Prefix[] = [];
  for (const item of items) {
    const text = textOf(item);
    const prefix =
      text === undefined
        ? undefined
        : readPrefix(text, item, report, 'a set holds addresses and prefixes, no names');
    if (prefix !== undefined) prefixes.push(prefix);
  }
  return items.length > 0 && prefixes.length === items.length ? rangesOf(prefixes) : undefined;
}

/** The prefix of an item, or its mistake reported. */
export function readPrefix(
  text: string,
  at: Span,
  report: Report,
  names: string,
): Prefix | undefined {
  const prefix = parsePrefix(text);
  if (prefix.kind === 'bad') {
    const isName = /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text);
    report('address', at, `${quote(text)} ${prefix.reason}`, isName ? names : prefix.fix);
    return undefined;
  }
  if (!prefix.hasHostBits) return prefix;
  const lone = text.slice(0, text.indexOf('/'));
  report(
    'host-bits',
    at,
    `${text} has host bits set: it is an address in ${prefix.text}, not a prefix`,
    `write ${prefix.text}, or ${lone} for the one address`,
  );
  return undefined;
}

function resolveFile(
  node: TreeNode,
  files: SetFiles,
  report: Report,
  add: (found: readonly Diagnostic[]) => void,
): AddressRanges | undefined {
  const path = textOf(node);
  if (path === undefined || path === '') return undefined;
  const file = files.get(path);
  if (file === undefined || file.kind === 'failed') {
    const reason = file?.reason ?? 'it was not read';
    report(
      'set-file',
      node,
      `the set file ${quote(path)} cannot be used: ${reason}`,
      file?.fix ?? 'check the path; it is relative to the policy file',
    );
    return undefined;
  }
  const { netset } = file;
  add(netset.diagnostics);
  const { firstNormalised: first } = netset;
  if (first !== undefined) {
    const count = netset.normalised === 1 ? '1 prefix has' : `${netset.normalised} prefixes have`;
    const message = `${count} host bits set in ${quote(path)}, the first on line ${first.line}: ${quote(first.found)}`;
    report(
      'normalised-prefixes',
      node,
      message,
      `they are read as their prefix, here ${first.corrected}; correct the file to silence this`,
      'warning',
    );
  }
  return netset.diagnostics.length > 0 ? undefined : netset.ranges;
}
