// The questions in the order in which they are asked.

import type { Question } from '../question.js';
import { accelerate } from './accelerate.js';
import { change } from './change.js';
import { decision } from './decision.js';
import { events } from './events.js';
import { load } from './load.js';
import { pauses } from './pauses.js';
import { reload } from './reload.js';
import { scale } from './scale.js';
import { trafficQuestion } from './traffic.js';
import { verbs } from './verbs.js';
import { xdp } from './xdp.js';

export const QUESTIONS: readonly Question[] = [
  decision,
  trafficQuestion,
  xdp,
  accelerate,
  load,
  change,
  reload,
  scale,
  pauses,
  events,
  verbs,
];
