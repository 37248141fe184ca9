// The shape of a verb in the command table.

import type { World } from './world.js';

/** Parsed options by their long name in camel case. */
export type Options = Readonly<Record<string, unknown>>;

export interface Verb {
  readonly name: string;
  readonly summary: string;
  /** As commander writes them: `[policy]`, `<direction>`, `[command...]`. */
  readonly args: readonly (readonly [name: string, description: string])[];
  readonly options: readonly (readonly [flags: string, description: string])[];
  /** Complete command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, effect: string])[];
  /** Exit codes with their meaning, for --help. */
  readonly exits: string;
  /** Returns the exit code; throws CgfwError for trouble (2). */
  readonly run: (
    world: World,
    args: readonly string[],
    options: Options,
  ) => Promise<number> | number;
}

export const POLICY_ARGUMENT = ['[policy]', 'policy file (default /etc/cgfw/policy.yaml)'] as const;
export const DEFAULT_POLICY = '/etc/cgfw/policy.yaml';
export const JSON_OPTION = ['--json', 'print one JSON document'] as const;
export const CGROUP_ROOT_OPTION = [
  '--cgroup-root <dir>',
  'mount point of the cgroup2 hierarchy (default: the first in /proc/mounts)',
] as const;

/** The text of an option that takes a value, or undefined. */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** One JSON document on a line of its own. */
export function printJson(world: World, document: unknown): void {
  world.stdout(`${JSON.stringify(document)}\n`);
}
