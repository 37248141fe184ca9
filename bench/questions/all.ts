// The questions in the order in which they are asked.

import type { Question } from '../question.js';
import { decision } from './decision.js';
import { trafficQuestion } from './traffic.js';

export const QUESTIONS: readonly Question[] = [decision, trafficQuestion];
