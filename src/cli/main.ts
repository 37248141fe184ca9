// The way from a command line to an exit code.

import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { PACKAGE_ROOT } from '../kernel/place.js';
import { diagnosticsToJson, renderDiagnostic } from '../policy/render.js';
import type { Verb } from './command.js';
import type { World } from './world.js';

/** Exit code for everything that is neither an answer nor a wrong policy. */
const TROUBLE = 2;

/** Runs one command line (without node and script) and returns its exit code. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  let code = 0;
  const program = new Command('cgfw')
    .description('A firewall for Linux cgroups: one YAML policy, enforced in the kernel by eBPF.')
    .version(version())
    .configureOutput({
      writeOut: world.stdout,
      writeErr: world.stderr,
      outputError: (text) => report(world, misuse(text), wantsJson(argv) ? 'json' : 'text'),
    })
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText('after', '\nEvery command has --help with examples.');
  for (const verb of await verbsFor(argv[0])) {
    addVerb(program, verb, world, (result) => {
      code = result;
    });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : TROUBLE;
    report(
      world,
      error instanceof CgfwError ? error : unexpected(error),
      wantsJson(argv) ? 'json' : 'text',
    );
    return TROUBLE;
  }
}

/** Help, and a slip of the pen, need the whole table; a verb alone is quicker without the others. */
async function verbsFor(name: string | undefined): Promise<readonly Verb[]> {
  switch (name) {
    case 'check':
      return [(await import('./verbs/check.js')).check];
    case 'diff':
      return [(await import('./verbs/diff.js')).diff];
    case 'status':
      return [(await import('./verbs/status.js')).status];
    case 'run':
      return [(await import('./verbs/run.js')).run];
    default:
      return (await import('./table.js')).VERBS;
  }
}

/** The words of commander in the form of all other errors. */
function misuse(text: string): CgfwError {
  const [first = '', second = ''] = text.trim().split('\n');
  const meant = /^\(Did you mean (?:one of )?(.*)\?\)$/.exec(second)?.[1];
  return new CgfwError(first.replace(/^error: /, '').replace(/\.$/, ''), {
    code: 'usage',
    fix: meant === undefined ? 'see cgfw --help, or cgfw VERB --help' : `did you mean ${meant}?`,
  });
}

/** What follows `--`, or the command of exec, is not ours. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv[0] !== 'exec' && (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

/** A refusal of the system that nobody foresaw, or a bug: never a bare stack trace. */
function unexpected(error: unknown): CgfwError {
  const { code, message, stack } = (
    error instanceof Error ? error : new Error(String(error))
  ) as NodeJS.ErrnoException;
  const isSystem = code !== undefined && /^E[A-Z]+$/.test(code);
  return new CgfwError(isSystem ? message : `a bug in cgfw: ${stack ?? message}`, {
    code: 'kernel',
    fix: isSystem
      ? 'see whether that path can be used as root'
      : 'report this with the command line and the policy',
    cause: error,
  });
}

function addVerb(program: Command, verb: Verb, world: World, done: (code: number) => void): void {
  const command = program
    .command(verb.name)
    .summary(verb.summary)
    .description(verb.summary)
    .passThroughOptions(verb.name === 'exec');
  for (const [name, description] of verb.args) command.argument(name, description);
  for (const [flags, description] of verb.options) command.option(flags, description);
  command.addHelpText('after', helpAfter(verb));
  command.action(async (...received: unknown[]) => {
    const options = received.at(-2) as Record<string, unknown>;
    const args = received
      .slice(0, -2)
      .flat()
      .filter((value) => typeof value === 'string');
    done(await verb.run(world, args, options));
  });
}

function helpAfter(verb: Verb): string {
  const examples = verb.examples.map(([line, effect]) => `  ${line}\n      ${effect}`);
  return ['', 'Examples:', ...examples, '', `Exit codes: ${verb.exits}`].join('\n');
}

/** Says what was found and how to mend it, in the form that was asked for. */
export function report(world: World, error: CgfwError, format: 'json' | 'text'): void {
  if (format === 'json') {
    const { code, message, fix, diagnostics } = error;
    world.stdout(
      `${JSON.stringify({ error: { code, message, fix, diagnostics: diagnosticsToJson(diagnostics) } })}\n`,
    );
    return;
  }
  const [only] = error.diagnostics;
  const isTold = error.diagnostics.length === 1 && only?.message === error.message;
  for (const diagnostic of isTold ? [] : error.diagnostics) {
    world.stderr(`${renderDiagnostic(diagnostic, { color: world.isTerminal })}\n`);
  }
  world.stderr(`cgfw: ${error.message}\n  fix: ${error.fix}\n`);
}

function version(): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
