// The shape of a document: the schema's verdict, in our words and with positions.

import type { Diagnostic } from '../base/error.js';
import { nearest, quote } from '../base/suggest.js';
import { collect, sortDiagnostics, type Report } from './report.js';
import { EXAMPLES, KEYS } from './schema.gen.js';
import { child, describe, valueOf, type MapEntry, type PolicyTree, type TreeNode } from './tree.js';
import { validate } from './validator.gen.js';

/** What ajv tells of one mistake. */
interface SchemaError {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** One mistake and where it is. */
interface Place {
  readonly error: SchemaError;
  readonly path: readonly string[];
  readonly node: TreeNode;
  /** The entry that holds the node, when it stands under a key. */
  readonly entry: MapEntry | undefined;
}

/** More are not worth the time: diagnostics end at 1,000. */
const MAX_ERRORS = 4000;

/** Every way in which the tree is not what the schema allows, sorted by position. Pure. */
export function validateTree(tree: PolicyTree): readonly Diagnostic[] {
  const { report, diagnostics } = collect(tree.source);
  if (validate(valueOf(tree.root))) return [];
  const errors = (validate as unknown as { errors: readonly SchemaError[] }).errors.slice(0, MAX_ERRORS);
  const wrongTypes = new Set(errors.filter((e) => e.keyword === 'type').map((e) => e.instancePath));
  const meant = new Set<string>();
  const places = errors.map((error) => placeOf(tree, error));
  for (const place of places) if (place.error.keyword === 'additionalProperties') reportUnknownKey(place, meant, report);
  for (const place of places) {
    if (place.error.keyword !== 'type' && wrongTypes.has(place.error.instancePath)) continue;
    reportError(place, meant, report);
  }
  return sortDiagnostics(diagnostics);
}

function placeOf(tree: PolicyTree, error: SchemaError): Place {
  const path = error.instancePath.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  let node: TreeNode = tree.root;
  let entry: MapEntry | undefined;
  for (const part of path) {
    entry = node.kind === 'map' ? node.entries.get(part) : undefined;
    node = entry?.value ?? (node.kind === 'list' ? node.items[Number(part)] : undefined) ?? node;
  }
  return { error, path, node, entry };
}

function reportError(place: Place, meant: ReadonlySet<string>, report: Report): void {
  const { error, node } = place;
  switch (error.keyword) {
    case 'type': return reportType(place, report);
    case 'enum': return reportEnum(place, report);
    case 'required': return reportMissing(place, meant, report);
    case 'const': return reportConst(place, report);
    case 'not': return report('not-available', place.entry?.at ?? node, `${nameOf(place)} is not available yet`, 'remove the key');
    case 'minItems': return report('wrong-value', node, `${nameOf(place)} is an empty list`, emptyFix(place));
    case 'pattern': return reportPattern(place, report);
    case 'propertyNames': return reportName(place, String(error.params['propertyName']), report);
    default: return undefined;
  }
}

/** The definition of the schema whose keys the map at a path has. */
function ownerOf(path: readonly string[]): string {
  const [top, , direction, rules, index] = path;
  if (path.length === 0) return '';
  if (top === 'sets') return 'set';
  if (direction === undefined) return 'policy';
  return rules !== undefined && index !== undefined ? `${direction}Rule` : direction;
}

function lastKey(path: readonly string[]): { key: string; depth: number } {
  const depth = path.findLastIndex((part) => !/^\d+$/.test(part));
  return { key: path[depth] ?? '', depth };
}

function isItem(path: readonly string[]): boolean {
  return /^\d+$/.test(path.at(-1) ?? '') && path.length !== 2 && path[0] === 'policies' ? true : path.length === 3 && path[0] !== 'policies' && path[2] !== 'file' && path[2] !== 'guard';
}

/** What stands at a place, for messages. */
function nameOf({ path }: Place): string {
  if (path.length === 0) return 'the document';
  if (path.length === 2 && path[0] !== 'policies') return `${path[0] === 'sets' ? 'the set' : 'the service'} ${quote(path[1] ?? '')}`;
  if (path.length === 2) return 'a policy';
  if (path.length === 5 && path[3] === 'rules') return 'a rule';
  if (isItem(path)) return `an item of ${path.length === 3 && path[0] !== 'policies' ? (path[1] ?? '') : lastKey(path).key}`;
  return path.at(-1) ?? '';
}

function exampleOf(path: readonly string[]): string | undefined {
  if (path.length === 0) return 'version: 1 and policies: [{name: web, cgroups: [system.slice/nginx.service]}]';
  if (path.length === 2 && path[0] === 'sets') return `${path[1]}: [10.0.0.0/8, "fd00::/8"]`;
  if (path.length === 2 && path[0] === 'services') return `${path[1]}: [80/tcp, 443/tcp]`;
  if (path.length === 3 && isItem(path)) return exampleOf(path.slice(0, 2));
  const { key, depth } = lastKey(path);
  const example = EXAMPLES[`${ownerOf(path.slice(0, depth))}.${key}`];
  return example === undefined ? undefined : `${key}: ${example}`;
}

function writeExample(path: readonly string[]): string {
  const example = exampleOf(path);
  return example === undefined ? 'see docs/policy.md' : `write, for example, ${example}`;
}

const TYPES: Readonly<Record<string, string>> = {
  object: 'keys and values', array: 'a list', string: 'text', integer: 'a whole number', boolean: 'true or false',
};

function reportType(place: Place, report: Report): void {
  const { error, path, node } = place;
  const types = [error.params['type']].flat().map(String);
  const name = nameOf(place);
  const isScalar = node.kind === 'scalar';
  if (isScalar && node.value === null) {
    const at = place.entry?.at ?? node;
    return report('wrong-type', at, `${name} has no value`, writeExample(path));
  }
  const allowed = types.map((type) => TYPES[type] ?? type).join(' or ');
  const code = path.at(-1) === 'guard' ? 'set-guard' : 'wrong-type';
  report(code, node, `${name} must be ${allowed}, found ${describe(node)}`, typeFix(place, types));
}

function typeFix({ path, node }: Place, types: readonly string[]): string {
  const key = path.at(-1) ?? '';
  if (node.kind === 'scalar' && types.includes('boolean')) return `write ${key}: ${/^(yes|on|true)$/i.test(String(node.value)) ? 'true' : 'false'}`;
  if (node.kind === 'scalar' && key === 'guard') return writeExample(path);
  const isList = types.includes('array') && node.kind === 'scalar' && !types.includes('string');
  if (isList && !types.includes('object') && key !== 'policies' && key !== 'rules') return `write ${key}: [${node.source}]`;
  if (isList && path.length === 2) return `write ${key}: [${node.source}]`;
  const isColon = node.kind === 'map' && [...node.entries.values()].some(({ value }) => value.kind === 'scalar' && value.value === null);
  if (isColon && types.includes('string')) return 'quote an address or text that has a colon at its end';
  if (node.kind === 'scalar' && isAddress(path)) return 'write an address such as 192.0.2.1 or a prefix such as 192.0.2.0/24';
  if (node.kind === 'scalar' && types.length === 1 && types[0] === 'string' && ['name', 'file'].includes(key)) return `quote it: ${key}: "${node.source}"`;
  return writeExample(path);
}

function isAddress(path: readonly string[]): boolean {
  const { key } = lastKey(path);
  return key === 'to' || key === 'from' || (path[0] === 'sets' && path.length === 3 && isItem(path));
}

function emptyFix({ path }: Place): string {
  if (path.length === 1) return 'write a policy, or run cgfw down to remove what is in force';
  return path.at(-1) === 'ports' ? 'remove the key to mean everything, or name ports' : writeExample(path);
}

function reportEnum(place: Place, report: Report): void {
  const { path, node, error } = place;
  const word = node.kind === 'scalar' ? String(node.value) : '';
  const allowed = [error.params['allowedValues']].flat().map(String);
  const key = path.at(-1) ?? '';
  if (word === 'reject' && path.includes('ingress')) {
    return report('reject-ingress', node, 'reject is not possible for ingress: the sender is another host', `write ${key}: drop`);
  }
  const near = nearest(word, allowed) ?? SYNONYMS[word.toLowerCase()];
  const fix = near !== undefined && allowed.includes(near) ? `did you mean ${near}?` : writeExample(path);
  report('wrong-value', node, `${key} cannot be ${quote(word)}: ${listed(allowed)}`, fix);
}

const SYNONYMS: Readonly<Record<string, string>> = {
  accept: 'allow', permit: 'allow', pass: 'allow', deny: 'drop', block: 'drop', refuse: 'reject',
  off: 'none', never: 'none', no: 'none', yes: 'denied', always: 'all', monitor: 'audit', 'dry-run': 'audit',
};

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function reportConst(place: Place, report: Report): void {
  const { node, path } = place;
  if (path.at(-1) === 'accelerate') {
    return report('not-available', node, 'accelerate is not available yet', 'remove the key, or write accelerate: false');
  }
  report('wrong-value', node, `version must be 1, found ${describe(node)}`, 'write version: 1');
}

function reportPattern(place: Place, report: Report): void {
  const { node, path } = place;
  if (node.kind !== 'scalar') return undefined;
  const key = path.at(-1) ?? '';
  const found = quote(String(node.value));
  if (key === 'guard') {
    return report('set-guard', node, `guard must be a share from 1% to 100%, found ${found}`, writeExample(path));
  }
  if (key === 'file') return report('wrong-value', node, `file must be a path, found ${found}`, writeExample(path));
  report('wrong-value', node, `the name ${found} is not allowed: ${NAME_RULE}`, nameFix(String(node.value)));
}

const NAME_RULE = 'a name has 1 to 63 letters, digits, dots, underscores and hyphens';

function reportName(place: Place, name: string, report: Report): void {
  const at = place.node.kind === 'map' ? place.node.entries.get(name)?.at : undefined;
  report('wrong-value', at ?? place.node, `the name ${quote(name)} is not allowed: ${NAME_RULE}`, nameFix(name));
}

function nameFix(name: string): string {
  const fixed = name.replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63);
  return fixed === '' ? 'choose a name such as web' : `write, for example, ${fixed}`;
}

function reportMissing(place: Place, meant: ReadonlySet<string>, report: Report): void {
  const { path, node, error } = place;
  const key = String(error.params['missingProperty']);
  if (meant.has(`${error.instancePath}/${key}`)) return undefined;
  const fix = `add ${exampleOf([...path, key]) ?? key}`;
  report('missing-key', place.entry?.at ?? node, `${nameOf(place)} has no key ${key}`, fix);
}

/** An unknown key that stands for a missing one makes that one no second mistake. */
function reportUnknownKey(place: Place, meant: Set<string>, report: Report): void {
  const { error, path, node } = place;
  const key = String(error.params['additionalProperty']);
  const at = (node.kind === 'map' ? node.entries.get(key)?.at : undefined) ?? node;
  const owner = ownerOf(path);
  const free = (KEYS[owner] ?? []).filter((known) => child(node, known) === undefined);
  const near = OTHERS[`${owner}.${key}`] ?? nearest(key, free);
  if (near !== undefined) meant.add(`${error.instancePath}/${near}`);
  const home = Object.keys(KEYS).filter((other) => KEYS[other]?.includes(key));
  const [first] = home;
  const fix = key === 'from' && near === 'to' ? 'write to: an egress rule says where packets go to'
    : key === 'to' && near === 'from' ? 'write from: an ingress rule says where packets come from'
    : near !== undefined ? `did you mean ${near}?`
    : first !== undefined ? `${key} is a key of ${HOMES[first]}`
    : `allowed here: ${(KEYS[owner] ?? []).join(', ')}`;
  report('unknown-key', at, `the key ${quote(key)} is not known in ${nameOf(place)}`, fix);
}

const OTHERS: Readonly<Record<string, string>> = {
  'egressRule.from': 'to', 'ingressRule.to': 'from', 'egressRule.port': 'ports', 'ingressRule.port': 'ports',
  'policy.cgroup': 'cgroups', 'policy.selector': 'cgroups', 'policy.selectors': 'cgroups', '.policy': 'policies', '.set': 'sets',
  'policy.output': 'egress', 'policy.input': 'ingress', 'policy.outbound': 'egress', 'policy.inbound': 'ingress',
  'egress.policy': 'default', 'ingress.policy': 'default', 'egress.action': 'default', 'ingress.action': 'default',
  'egressRule.verdict': 'action', 'ingressRule.verdict': 'action', 'egressRule.service': 'ports', 'ingressRule.service': 'ports',
};

const HOMES: Readonly<Record<string, string>> = {
  '': 'the document', set: 'a set', policy: 'a policy', egress: 'egress or ingress', ingress: 'ingress', egressRule: 'a rule', ingressRule: 'a rule of ingress',
};
