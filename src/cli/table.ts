// The command table.

import type { Verb } from './command.js';
import { apply } from './verbs/apply.js';
import { check } from './verbs/check.js';
import { confirm } from './verbs/confirm.js';
import { diff } from './verbs/diff.js';
import { down } from './verbs/down.js';
import { events } from './verbs/events.js';
import { exec } from './verbs/exec.js';
import { explain } from './verbs/explain.js';
import { run } from './verbs/run.js';
import { show } from './verbs/show.js';
import { status } from './verbs/status.js';

/** Nouns show, verbs change. */
export const VERBS: readonly Verb[] = [
  check,
  diff,
  apply,
  confirm,
  run,
  status,
  show,
  events,
  explain,
  exec,
  down,
];
