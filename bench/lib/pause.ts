// Loaded into an agent (node --import): how long its main thread was held up.
//
// At each SIGUSR2 the longest pause since the last one goes to the file that
// CGFW_BENCH_PAUSE names, in milliseconds, a line each.

import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const file = process.env['CGFW_BENCH_PAUSE'];
if (isMainThread && file !== undefined) {
  const pauses = monitorEventLoopDelay({ resolution: 1 });
  pauses.enable();
  process.on('SIGUSR2', () => {
    appendFileSync(file, `${String(pauses.max / 1e6)}\n`);
    pauses.reset();
  });
}
