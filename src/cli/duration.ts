import { CgfwError } from '../base/error.js';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };
const LONGEST_MS = 24 * 3_600_000;

/** `60s`, `5m` or `1h` in milliseconds, null when absent. Throws `usage` for anything else. */
export function parseDuration(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const [, number, unit = ''] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  const durationMs = Number(number) * (UNIT_MS[unit] ?? NaN);
  if (durationMs >= 1000 && durationMs <= LONGEST_MS) return durationMs;
  throw new CgfwError(
    `${option}: ${text === '' ? 'nothing' : text} is not a duration from 1s to 24h`,
    {
      code: 'usage',
      fix: `write it as ${option} 60s, ${option} 5m or ${option} 1h`,
    },
  );
}
