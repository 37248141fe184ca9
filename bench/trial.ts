// One trial in a process of its own: rows go to stdout as JSON lines.

import { Ground } from './lib/ground.js';
import { QUESTIONS } from './questions/all.js';
import type { Mode } from './question.js';

const [name, trialName, mode, groundName] = process.argv.slice(2);
const trial = QUESTIONS.find((question) => question.name === name)
  ?.trials(mode as Mode)
  .find((each) => each.name === trialName);
if (trial === undefined || groundName === undefined)
  throw new Error(`no trial ${String(name)} / ${String(trialName)}`);

const ground = new Ground(groundName);
ground.open();
const rows = await trial.run(ground, mode as Mode);
process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''), () => process.exit(0));
