// The shape of a document: the schema's verdict, in our words and with positions.

import type { Diagnostic } from '../base/error.js';
import { reportMissing, reportUnknownKey } from './key-error.js';
import { nameOf, type Place, type SchemaError } from './place.js';
import { collect, sortDiagnostics, type Report } from './report.js';
import { valueOf, type MapEntry, type PolicyTree, type TreeNode } from './tree.js';
import { emptyFix, reportType } from './type-error.js';
import { validate } from './validator.gen.js';
import { reportConst, reportEnum, reportName, reportPattern } from './value-error.js';

/** More are not worth the time: diagnostics end at 1,000. */
const MAX_ERRORS = 4000;

/** Every way in which the tree is not what the schema allows, sorted by position. Pure. */
export function validateTree(tree: PolicyTree): readonly Diagnostic[] {
  const { report, diagnostics } = collect(tree.source);
  if (validate(valueOf(tree.root))) return [];
  const errors = (validate as unknown as { errors: readonly SchemaError[] }).errors.slice(
    0,
    MAX_ERRORS,
  );
  const wrongTypes = new Set(errors.filter((e) => e.keyword === 'type').map((e) => e.instancePath));
  const meant = new Set<string>();
  const places = errors.map((error) => placeOf(tree, error));
  for (const place of places)
    if (place.error.keyword === 'additionalProperties') reportUnknownKey(place, meant, report);
  for (const place of places) {
    if (place.error.keyword !== 'type' && wrongTypes.has(place.error.instancePath)) continue;
    if (isOtherChoice(place, meant)) continue;
    reportError(place, meant, report);
  }
  return sortDiagnostics(diagnostics);
}

/** Either key would do: that there is neither is told once, unless an unknown key was meant to be one. */
function isOtherChoice({ error, path }: Place, meant: ReadonlySet<string>): boolean {
  if (path.length > 0 || error.keyword !== 'required') return false;
  const key = error.params['missingProperty'];
  return key === 'interfaces' || (key === 'policies' && meant.has('/interfaces'));
}

function placeOf(tree: PolicyTree, error: SchemaError): Place {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
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
    case 'type':
      return reportType(place, report);
    case 'enum':
      return reportEnum(place, report);
    case 'required':
      return reportMissing(place, meant, report);
    case 'const':
      return reportConst(place, report);
    case 'minItems':
      return report('wrong-value', node, `${nameOf(place)} is an empty list`, emptyFix(place));
    case 'pattern':
      return reportPattern(place, report);
    case 'propertyNames':
      return reportName(place, String(error.params['propertyName']), report);
    default:
      return undefined;
  }
}
