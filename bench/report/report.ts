import type { Row } from '../question.js';
export function printRows(rows: readonly Row[]): void {
  for (const { variant, metric, unit, value, low, high } of rows) {
    const spread = low === undefined ? '' : `  (${String(low)} .. ${String(high)})`;
    console.log(`    ${variant}: ${metric} ${String(value)} ${unit}${spread}`);
  }
}
export function writeReport(_results: string, _mode: string): void {}
