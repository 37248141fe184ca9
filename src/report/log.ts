// The agent's log: JSON lines by default, readable lines on a terminal.

import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * Writes synchronously: asynchronous destinations lose the last lines when the
 * process is ended by a signal. `format` comes from whoever knows the terminal.
 */
export async function openLog(format: 'json' | 'pretty', level: string): Promise<Logger> {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (format === 'json') return pino(options, pino.destination({ fd: 1, sync: true }));
  // Only people wait for it to load.
  const { default: pretty } = await import('pino-pretty');
  const stream = pretty({
    sync: true,
    colorize: true,
    translateTime: 'HH:MM:ss',
    ignore: 'pid,hostname,event',
    destination: 1,
  });
  return pino(options, stream);
}
