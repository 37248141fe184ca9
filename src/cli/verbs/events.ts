import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { EventNaming } from '../../agent/naming.js';
import { eventSocket } from '../../agent/publish.js';
import { CgfwError } from '../../base/error.js';
import { streamEvents } from '../../kernel/events.js';
import { lockEvents } from '../../kernel/lock.js';
import type { Place } from '../../kernel/place.js';
import { openCurrentSet } from '../../kernel/set.js';
import { renderEvent } from '../../report/verdict.js';
import type { VerdictEvent } from '../../report/verdict.js';
import { CGROUP_ROOT_OPTION, textOption } from '../command.js';
import type { Options, Verb } from '../command.js';
import { whenAborted } from '../world.js';
import { kernelPlace } from '../prepare.js';

export const events: Verb = {
  name: 'events',
  summary: 'follow verdicts as they happen',
  args: [],
  options: [
    ['--json', 'one JSON document a line'],
    ['--policy <name>', 'only of this policy'],
    ['--cgroup <path>', 'only of this cgroup and those below it'],
    ['--verdict <verdict>', 'only allow, drop or reject'],
    ['--address <address>', 'only from or to this address'],
    ['--count <n>', 'end after this many'],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw events', 'every event that the policies log (see log: in the policy), until Ctrl-C'],
    ['cgfw events --verdict reject --json', 'refused connections for a program'],
  ],
  exits: '0, 2 trouble',
  run: async (world, _args, options) => {
    const place = kernelPlace(world, options);
    const limit = Number(textOption(options, 'count') ?? Infinity);
    const done = new AbortController();
    let shown = 0;
    const show = (event: VerdictEvent): void => {
      if (done.signal.aborted || !isWanted(event, options)) return;
      world.stdout(options['json'] === true ? `${JSON.stringify(event)}\n` : `${renderEvent(event)}\n`);
      if (++shown >= limit) done.abort();
    };
    void whenAborted(world.stop).then(() => done.abort());
    if (!(await followAgent(place, show, done.signal))) await followRing(place, show, done.signal);
    return 0;
  },
};

function isWanted(event: VerdictEvent, options: Options): boolean {
  const policy = textOption(options, 'policy');
  const cgroup = textOption(options, 'cgroup');
  const verdict = textOption(options, 'verdict');
  const address = textOption(options, 'address');
  if (policy !== undefined && event.policy !== policy) return false;
  if (verdict !== undefined && event.verdict !== verdict) return false;
  if (address !== undefined && event.src !== address && event.dst !== address) return false;
  if (cgroup === undefined) return true;
  return event.cgroup === cgroup || event.cgroup?.startsWith(`${cgroup}/`) === true;
}

/** From a running agent, which holds the ring; false when there is none. */
async function followAgent(place: Place, show: (event: VerdictEvent) => void, stop: AbortSignal): Promise<boolean> {
  const path = eventSocket(place);
  if (!existsSync(path)) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch {
    return false; // A socket that a killed agent left behind.
  }
  void whenAborted(stop).then(() => socket.destroy());
  try {
    for await (const line of createInterface({ input: socket })) show(JSON.parse(line) as VerdictEvent);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  return true;
}

/** Straight from the kernel, when no agent runs. */
async function followRing(place: Place, show: (event: VerdictEvent) => void, stop: AbortSignal): Promise<void> {
  const set = openCurrentSet(place.pinRoot);
  if (set === null) throw new CgfwError('no policy is loaded', { code: 'not-loaded', fix: 'load one: cgfw apply' });
  set.close();
  const lock = lockEvents(place);
  if (lock === null) {
    throw new CgfwError('another process reads the events', { code: 'locked', fix: 'end the other cgfw events first, or start the agent: it serves any number of readers' });
  }
  const naming = new EventNaming(place);
  naming.refresh();
  const stream = streamEvents(place, (raw) => {
    for (const event of raw) show(naming.describe(event));
  });
  await whenAborted(stop);
  stream.close();
  lock.close();
}
