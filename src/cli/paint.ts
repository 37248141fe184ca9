// Colour, and only for people.

import { styleText } from 'node:util';
import type { World } from './world.js';

const COLOURS = { '+': 'green', '-': 'red', '~': 'yellow' } as const;

/** Colours a plan's line by its sign, on a terminal. */
export function painter(world: World): (sign: keyof typeof COLOURS, line: string) => string {
  if (!world.isTerminal) return (_sign, line) => line;
  return (sign, line) => styleText(COLOURS[sign], line, { validateStream: false });
}
