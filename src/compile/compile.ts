// From the resolved policy to what the kernel is given.

import { rememberRanges } from './addresses.js';
import type { Direction, DirectionName, LogLevel, Policy } from '../policy/policy.js';
import { flatten } from './classes.js';
import { CellHeap } from './heap.js';
import {
  CELL_BASE,
  COL_BASE,
  COLS,
  DEFAULT_RULE,
  DIRECTION_CLOSED,
  DIRECTION_FLAGS,
  DIRECTION_OFFSET,
  DIRECTION_ONE_COLUMN,
  DIRECTION_ONE_ROW,
  DIRECTION_OPEN,
  POLICY_ACCELERATE,
  POLICY_AUDIT,
  POLICY_LOUD,
  POLICY_RAW_DENY,
  POLICY_WORDS,
  ROW_BASE,
  RULE_BASE,
  UNPARSABLE_RULE,
} from './layout.js';
import type { CounterIds, Program } from './program.js';
import { buildRoots } from './roots.js';
import { listClasses } from './rows.js';
import { tabulateRules, type RuleBases } from './rules.js';
import { dividePoints, servicesTable, ServiceSets } from './services.js';
import { decideAll, type Axes, type Verdicts } from './verdicts.js';

const DIRECTIONS: readonly DirectionName[] = ['egress', 'ingress'];

/**
 * Compiles a policy into tables and names. Pure, and the same policy with the
 * same `counters` gives the same bytes. Throws `invalid-policy` with a
 * `too-big` diagnostic that names policy, direction and figures when the
 * policy does not fit the tables; nothing else can go wrong.
 */
export function compile(policy: Policy, counters: CounterIds): Program {
  const partition = flatten(policy.lists);
  const sets = new ServiceSets(policy);
  const segments = dividePoints(sets.sets, 'ports of all rules');
  const lists = listClasses(partition.classes, policy.lists.length);
  const rules = tabulateRules(policy, counters);
  const heap = new CellHeap();
  const policies = encodePolicies(policy, { lists, sets, segments }, rules.bases, heap);
  const program: Program = {
    text: policy.text,
    names: {
      hash: policy.hash,
      origin: policy.origin,
      policies: policy.policies.map(({ name, line, mode, cgroups, accelerate }) => ({
        name,
        line,
        mode,
        cgroups,
        accelerate,
      })),
      interfaces: policy.interfaces.map(({ name, line, interfaces, attach }) => ({
        name,
        line,
        interfaces,
        attach,
      })),
      rules: rules.names,
      lists: policy.lists.map(({ name }) => name),
      classes: partition.classes,
    },
    tables: {
      ...buildRoots(partition),
      cells: heap.finished(),
      services: servicesTable(segments),
      rules: rules.words,
      policies,
    },
  };
  rememberRanges(
    program,
    policy.lists.map(({ ranges }) => ranges),
  );
  return program;
}

function encodePolicies(
  policy: Policy,
  axes: Axes,
  bases: readonly RuleBases[],
  heap: CellHeap,
): Uint32Array {
  const { length } = policy.policies;
  const words = new Uint32Array((length + policy.interfaces.length + 1) * POLICY_WORDS);
  const encode = (
    index: number,
    owner: string,
    name: DirectionName,
    direction: Direction,
    log: LogLevel,
  ): void => {
    const into = words.subarray((index + 1) * POLICY_WORDS + DIRECTION_OFFSET[name]);
    into[RULE_BASE] = bases[index]![name];
    const place = { policy, line: direction.defaultLine };
    encodeDirection(
      direction,
      log,
      decideAll(direction, axes, `${name} of ${owner}`, place),
      heap,
      into,
    );
  };
  policy.policies.forEach((own, index) => {
    const at = (index + 1) * POLICY_WORDS;
    words[at] =
      (own.mode === 'audit' ? POLICY_AUDIT : 0) |
      (own.raw === 'deny' ? POLICY_RAW_DENY : 0) |
      (own.accelerate ? POLICY_ACCELERATE : 0) |
      (own.log === 'new' || own.log === 'all' ? POLICY_LOUD : 0);
    words[at + 1] = bases[index]!.raw;
    for (const name of DIRECTIONS) encode(index, `policy ${own.name}`, name, own[name], own.log);
  });
  policy.interfaces.forEach((own, index) => {
    encode(length + index, `interface policy ${own.name}`, 'ingress', own.ingress, own.log);
    // Nobody asks what an interface sends; whoever did would find no lookup to make.
    const egress = words.subarray((length + index + 1) * POLICY_WORDS + DIRECTION_OFFSET.egress);
    egress[DIRECTION_FLAGS] = DIRECTION_OPEN | DIRECTION_ONE_ROW | DIRECTION_ONE_COLUMN;
  });
  return words;
}

function encodeDirection(
  direction: Direction,
  log: LogLevel,
  verdicts: Verdicts,
  heap: CellHeap,
  into: Uint32Array,
): void {
  const { rowOf, colOf, cells, cols } = verdicts;
  const isOneRow = cells.length === cols;
  const isOneColumn = cols === 1;
  // Where one of them decides alone, it says the rule: one look-up less.
  into[ROW_BASE] = heap.place(isOneColumn ? rowOf.map((row) => cells[row]!) : rowOf);
  into[COL_BASE] = heap.place(isOneRow ? colOf.map((col) => cells[col]!) : colOf);
  into[CELL_BASE] = heap.place(cells);
  into[COLS] = cols;
  into[DEFAULT_RULE] = direction.rules.length;
  into[UNPARSABLE_RULE] = direction.rules.length + 1;
  into[DIRECTION_FLAGS] =
    (asksWhoBegan(direction, log) ? 0 : DIRECTION_OPEN) |
    (isOneRow ? DIRECTION_ONE_ROW : 0) |
    (isOneColumn ? DIRECTION_ONE_COLUMN : 0) |
    (direction.default === 'allow' ? 0 : DIRECTION_CLOSED);
}

/** Whether a packet's fate, or its line in the log, depends on which direction began. */
function asksWhoBegan(direction: Direction, log: LogLevel): boolean {
  return (
    direction.default !== 'allow' ||
    log === 'new' ||
    direction.rules.some((rule) => rule.action !== 'allow' || rule.log === 'new')
  );
}
