// What neither the compiler nor the formatter sees. Rules are tuned to the house
// style here, once; the code itself holds no disabling comments.

import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  // Built or generated: the generators are what is read.
  globalIgnores(['**/build/**', 'dist*/**', '.tap/**', '**/*.gen.ts']),
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // With noUncheckedIndexedAccess, `!` is how an index that is in range says so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Numbers read the same in every locale; anything else is still refused.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `() => close()` is a callback that closes, not a claim about a value.
      // And `return report(...)` is an early return.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // `number | Errno` says what the numbers mean, to people.
      '@typescript-eslint/no-duplicate-type-constituents': 'off',
      // A text is spread to count its code points.
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      // A barrel hides which floor a file stands on; a default export has no name.
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'no barrels: import from the file itself' },
        { selector: 'ExportDefaultDeclaration', message: 'no default exports: give it a name' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test body is async so that what it throws is its failure.
      '@typescript-eslint/require-await': 'off',
      // tap waits for its own subtests.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: '@tapjs/test', name: 'test' }] },
      ],
    },
  },
  {
    files: ['bench/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
);
