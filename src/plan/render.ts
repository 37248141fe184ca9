// A plan for people and for programs; both come from the same actions.

import { isInterfaceAction } from './action.js';
import type { Action, InterfaceAction, Plan } from './action.js';
import type { Change } from './changes.js';

type Sign = '+' | '-' | '~';

interface Line {
  readonly sign: Sign;
  readonly verb: string;
  readonly target: string;
  readonly detail: string;
}

/** One line an action or change, in the order in which apply runs them; '' when in step. */
export function renderPlan(plan: Plan, paint: (sign: Sign, line: string) => string): string {
  const lines = plan.actions.flatMap(linesOf);
  const verbWidth = Math.max(0, ...lines.map((line) => line.verb.length));
  const targetWidth = Math.min(40, Math.max(0, ...lines.map((line) => line.target.length)));
  return lines
    .map(({ sign, verb, target, detail }) =>
      paint(
        sign,
        `${sign} ${verb.padEnd(verbWidth)}  ${target.padEnd(targetWidth)}  ${detail}`.trimEnd(),
      ),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function linesOf(action: Action): Line[] {
  if (isInterfaceAction(action)) return linesOfInterface(action);
  const { target } = action;
  switch (action.op) {
    case 'load':
      return [{ sign: '+', verb: 'load', target, detail: action.reason }];
    case 'update':
      return [{ sign: '~', verb: 'update', target, detail: action.hooks.join(' ') }];
    case 'attach': {
      const detail = `policy ${action.policy}: ${action.hooks.join(' ')}`;
      return [{ sign: '+', verb: 'attach', target, detail }];
    }
    case 'fill':
      return action.changes.map(lineOfChange);
    case 'assign':
      // Beside a switch, an assignment is only part of filling the new generation.
      if (action.slot === 'idle') return [];
      return [{ sign: '~', verb: 'assign', target, detail: `policy ${action.policy ?? 'none'}` }];
    case 'switch': {
      const detail = `${String(action.from)} -> ${String(action.to)}`;
      return [{ sign: '~', verb: 'switch', target, detail }];
    }
    case 'detach':
      return [{ sign: '-', verb: 'detach', target, detail: action.hooks.join(' ') }];
    case 'sweep':
      return [{ sign: '-', verb: 'sweep', target, detail: 'no longer needed' }];
  }
}

function linesOfInterface(action: InterfaceAction): Line[] {
  const { target } = action;
  switch (action.op) {
    case 'attach': {
      const { policy, attach, replaces, heldBy } = action;
      const conflict = heldBy === null ? '' : `; in the way: ${heldBy}`;
      const detail = `policy ${policy}: ${replaces === null ? '' : `${replaces} -> `}${attach}${conflict}`;
      return [{ sign: replaces === null ? '+' : '~', verb: 'attach', target, detail }];
    }
    case 'update':
      return [{ sign: '~', verb: 'update', target, detail: 'xdp' }];
    case 'assign':
      if (action.slot === 'idle') return [];
      return [{ sign: '~', verb: 'assign', target, detail: `policy ${action.policy ?? 'none'}` }];
    case 'detach':
      return [{ sign: '-', verb: 'detach', target, detail: 'xdp' }];
  }
}

const SIGNS: Record<Change['op'], Sign> = { add: '+', remove: '-', change: '~' };

function lineOfChange(change: Change): Line {
  const { op, kind, target, before, after } = change;
  const detail =
    op === 'change' && before !== undefined
      ? `${before} -> ${after ?? ''}`
      : (after ?? before ?? '');
  return { sign: SIGNS[op], verb: kind, target, detail };
}

/** One sentence of numbers for the end of diff and apply. */
export function renderSummary(plan: Plan): string {
  const { attach, detach, rules, addresses } = plan.summary;
  return (
    `${String(attach)} to attach, ${String(detach)} to detach; ` +
    `rules +${String(rules.add)} -${String(rules.remove)} ~${String(rules.change)}; ` +
    `addresses +${String(addresses.add)} -${String(addresses.remove)}`
  );
}

/** The stable JSON document of `cgfw diff --json`. */
export function planToJson(plan: Plan): Plan {
  return plan;
}
