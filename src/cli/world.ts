// What a command may touch, passed in, so that tests run real commands in-process.

export interface World {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
  /** Whether people read stdout: colour, readable log. */
  readonly isTerminal: boolean;
  /** Aborted by SIGINT and SIGTERM. */
  readonly stop: AbortSignal;
  /** Calls back at every SIGHUP. */
  readonly onReload: (callback: () => void) => void;
}

/** The world of a real process. */
export function processWorld(): World {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  process.stdout.on('error', ignoreClosedPipe);
  process.stderr.on('error', ignoreClosedPipe);
  return {
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    env: process.env,
    uid: process.geteuid?.() ?? -1,
    isTerminal: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    stop: stop.signal,
    onReload: (callback) => void process.on('SIGHUP', callback),
  };
}

/** `cgfw events | head` ends the reader, not the command's manners. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
}

/** Resolves when the signal is aborted; at once when it is already. */
export async function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
