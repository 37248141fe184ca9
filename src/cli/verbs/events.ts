import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { EventNaming } from '../../agent/naming.js';
import { eventSocket } from '../../agent/publish.js';
import type { Published } from '../../agent/publish.js';
import { CgfwError } from '../../base/error.js';
import { streamEvents } from '../../kernel/events.js';
import { lockEvents } from '../../kernel/lock.js';
import type { Place } from '../../kernel/place.js';
import { openCurrentSet } from '../../kernel/set.js';
import { renderEvent } from '../../report/verdict.js';
import type { VerdictEvent } from '../../report/verdict.js';
import { CGROUP_ROOT_OPTION } from '../command.js';
import type { Verb } from '../command.js';
import { eventFilter, eventLimit } from '../event-filter.js';
import { kernelPlace } from '../prepare.js';
import type { World } from '../world.js';
import { whenAborted } from '../world.js';

/** An agent that was just ended is often started again at once. */
const RETURN_MS = 2000;
const RETURN_LOOK_MS = 100;

export const events: Verb = {
  name: 'events',
  summary: 'follow verdicts as they happen',
  args: [],
  options: [
    ['--json', 'one JSON document a line'],
    ['--policy <name>', 'only of this policy'],
    ['--cgroup <path>', 'only of this cgroup and those below it'],
    ['--interface <name>', 'only what a policy of interfaces decided on this one'],
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
    const isWanted = eventFilter(options);
    const limit = eventLimit(options);
    const place = kernelPlace(world, options);
    const done = new AbortController();
    let shown = 0;
    const show = (event: VerdictEvent): void => {
      if (done.signal.aborted || !isWanted(event)) return;
      world.stdout(
        options['json'] === true ? `${JSON.stringify(event)}\n` : `${renderEvent(event)}\n`,
      );
      if (++shown >= limit) done.abort();
    };
    void whenAborted(world.stop).then(() => done.abort());
    await follow(world, place, show, done.signal);
    return 0;
  },
};

type Show = (event: VerdictEvent) => void;

/** From the agent while there is one, which holds the ring; else straight from the kernel. */
async function follow(world: World, place: Place, show: Show, stop: AbortSignal): Promise<void> {
  let agent = await connectAgent(place);
  if (agent === null) {
    await followRing(place, show, stop);
    return;
  }
  while (agent !== null) {
    await followAgent(world, agent, show, stop);
    if (stop.aborted) return;
    world.stderr('cgfw: the agent has ended; its events wait for it to return, or for us\n');
    agent = await awaitAgent(place, stop);
  }
  if (!stop.aborted) await followRing(place, show, stop);
}

async function connectAgent(place: Place): Promise<Socket | null> {
  const path = eventSocket(place);
  if (!existsSync(path)) return null;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    return null; // A socket that a killed agent left behind.
  }
}

async function awaitAgent(place: Place, stop: AbortSignal): Promise<Socket | null> {
  const end = performance.now() + RETURN_MS;
  while (performance.now() < end && !stop.aborted) {
    const socket = await connectAgent(place);
    if (socket !== null) return socket;
    await delay(RETURN_LOOK_MS, undefined, { signal: stop }).catch(() => undefined);
  }
  return null;
}

async function followAgent(
  world: World,
  socket: Socket,
  show: Show,
  stop: AbortSignal,
): Promise<void> {
  const leave = (): void => void socket.destroy();
  if (stop.aborted) leave();
  stop.addEventListener('abort', leave, { once: true });
  try {
    for await (const line of createInterface({ input: socket })) {
      const published = JSON.parse(line) as Published;
      if ('lost' in published)
        world.stderr(`cgfw: we were too slow: ${String(published.lost)} events are missing here\n`);
      else show(published);
    }
  } catch (error) {
    if (!stop.aborted && (error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  } finally {
    stop.removeEventListener('abort', leave);
    leave();
  }
}

async function followRing(place: Place, show: Show, stop: AbortSignal): Promise<void> {
  const set = openCurrentSet(place.pinRoot);
  if (set === null)
    throw new CgfwError('no policy is loaded', { code: 'not-loaded', fix: 'load one: cgfw apply' });
  set.close();
  const lock = lockEvents(place);
  if (lock === null) {
    throw new CgfwError('another cgfw events reads the events already', {
      code: 'locked',
      fix: 'end it first, or start the agent (cgfw run): it serves any number of readers',
    });
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
