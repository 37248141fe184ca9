// What runs in the steward's thread: one request after the other.

import { parentPort, workerData } from 'node:worker_threads';
import { kindOf, Steward } from './steward.js';
import { Tidy } from './tidy.js';
import type { Extent, StewardOptions } from './steward.js';

const steward = new Steward(workerData as StewardOptions, 'any');
const tidy = new Tidy('steward');

parentPort?.on('message', (extent: Extent) => {
  void steward.work(extent).then((report) => {
    parentPort?.postMessage(report);
    if (report !== null) tidy.after(kindOf(report));
  });
});
