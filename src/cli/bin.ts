// The process: world in, exit code out.

import { main } from './main.js';
import { processWorld } from './world.js';

// Leaves at once, whatever a library still holds open: what was written to stdout
// is out (files, pipes and terminals are written synchronously on Linux).
process.exit(await main(process.argv.slice(2), processWorld()));
