import { hasErrors } from '../../policy/report.js';
import { compile } from '../../compile/compile.js';
import { CgfwError } from '../../base/error.js';
import type { Diagnostic } from '../../base/error.js';
import { diagnosticsToJson, renderDiagnostic } from '../../policy/render.js';
import type { Reading } from '../../source/policy-file.js';
import { JSON_OPTION, POLICY_ARGUMENT, printJson } from '../command.js';
import type { Verb } from '../command.js';
import { readPolicyArgument } from '../prepare.js';

export const check: Verb = {
  name: 'check',
  summary: 'say everything that is wrong with a policy file',
  args: [POLICY_ARGUMENT],
  options: [JSON_OPTION],
  examples: [
    ['cgfw check', 'checks /etc/cgfw/policy.yaml and the set files that it names'],
    ['cgfw check new.yaml --json', 'the same for a program: {"valid": ..., "diagnostics": [...]}'],
  ],
  exits: '0 valid, 1 invalid',
  run: (world, args, options) => {
    const reading = readPolicyArgument(world, args);
    const diagnostics = [...reading.diagnostics, ...compileDiagnostics(reading)];
    const isValid = !hasErrors(diagnostics);
    const file = reading.files[0] ?? '';
    if (options['json'] === true) {
      const hash = reading.policy?.hash ?? null;
      printJson(world, {
        valid: isValid,
        file,
        policyHash: hash,
        diagnostics: diagnosticsToJson(diagnostics),
      });
      return isValid ? 0 : 1;
    }
    for (const found of diagnostics) {
      world.stdout(`${renderDiagnostic(found, { color: world.isTerminal })}\n`);
    }
    world.stdout(`${file}: ${verdict(reading, diagnostics)}\n`);
    return isValid ? 0 : 1;
  },
};

/** What only shows when the policy is compiled: that it does not fit. */
function compileDiagnostics(reading: Reading): readonly Diagnostic[] {
  if (reading.policy === undefined) return [];
  try {
    compile(reading.policy, new Map());
    return [];
  } catch (error) {
    if (error instanceof CgfwError && error.code === 'invalid-policy') return error.diagnostics;
    throw error;
  }
}

function verdict(reading: Reading, diagnostics: readonly Diagnostic[]): string {
  const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
  const warnings = diagnostics.length - errors;
  const warned = warnings === 0 ? '' : `, ${plural(warnings, 'warning')}`;
  if (errors > 0) return `invalid: ${plural(errors, 'error')}${warned}`;
  return `valid: ${policies(reading.policy?.policies.length ?? 0)}${warned}`;
}

function plural(count: number, word: string): string {
  return `${String(count)} ${word}${count === 1 ? '' : 's'}`;
}

function policies(count: number): string {
  return count === 1 ? '1 policy' : `${String(count)} policies`;
}
