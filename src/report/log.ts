// The agent's log: JSON lines by default, readable lines on a terminal.

import { pino } from 'pino';
import type { Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/**
 * Writes synchronously: asynchronous destinations lose the last lines when the
 * process is ended by a signal. `format` comes from whoever knows the terminal.
 */
export function openLog(format: 'json' | 'pretty', level: string): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (format === 'json') return pino(options, pino.destination({ fd: 1, sync: true }));
  const stream = pretty({
    sync: true,
    colorize: true,
    translateTime: 'HH:MM:ss',
    ignore: 'pid,hostname,event',
    destination: 1,
  });
  return pino(options, stream);
}
