// Thousands of short connections at once, and what is left of them.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openAccelerationMaps } from '../../src/kernel/acceleration.js';
import { close, read, say, skip, Stage } from './acceleration.js';
import { until } from './sandbox.js';

/** What bpftool lists, whosever it is. */
function list(
  kind: 'prog' | 'link',
): readonly { id: number; prog_id?: number; map_ids?: number[] }[] {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH: path };
  const text = execFileSync('bpftool', ['-j', kind, 'list'], { env, encoding: 'utf8' });
  return JSON.parse(text) as { id: number }[];
}

const CONNECTIONS = 3000;
const PARALLEL = 32;
const ENDS = 32_768;

t.test('short connections', { skip }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const { place } = stage.box;
  const server = stage.program(stage.server, 'short.py', 'serve', CONNECTIONS);
  const { port } = await server.line<{ port: number }>();
  const client = stage.program(stage.client, 'short.py', 'connect', port, CONNECTIONS, PARALLEL);
  t.same(await client.line(), { answers: CONNECTIONS, wrong: [] });
  t.same(await server.line(), { answers: CONNECTIONS, wrong: [] });
  const { redirected, messages } = await stage.counts();
  t.equal(redirected, 2 * CONNECTIONS, 'each direction of each was redirected');
  t.equal(messages, 2 * CONNECTIONS);
  await stage.isQuiet();

  const maps = openAccelerationMaps(place.pinRoot)!;
  await until('no socket is left in the table', () => [...maps.sockets.keys()].length === 0);
  t.ok([...maps.ends.keys()].length <= ENDS, 'what ends say of themselves has a bound');

  // As if others had pushed the entries of a living connection out of the table.
  const { near, far } = await stage.accelerated();
  await near.do('sendall', { bytes: 'before ' });
  for (const key of [...maps.ends.keys()]) maps.ends.delete(key);
  const added = await stage.added(async () => {
    await near.do('sendall', { bytes: 'after' });
    t.equal(await read(far, 12), 'before after');
    t.equal(await say(far, near, 'and back'), 'and back');
  });
  t.notOk(added['messages']);
  t.equal((added['full'] ?? 0) + (added['noPeer'] ?? 0), 2, 'both directions went back');
  await close(near, far);

  const own = list('prog').filter(({ map_ids }) => map_ids?.includes(maps.members.info.id));
  const isOwn = (id?: number): boolean => own.some((one) => one.id === id);
  t.ok(own.length > 0);
  t.ok(list('link').some(({ prog_id }) => isOwn(prog_id)));
  for (const map of Object.values(maps)) map.close();
  t.equal((await stage.box.cgfw('down')).code, 0);
  t.notOk(existsSync(join(place.pinRoot, 'shared')));
  await until('no program is left', () => !list('prog').some(({ id }) => isOwn(id)), 30_000);
  t.notOk(list('link').some(({ prog_id }) => isOwn(prog_id)));
});
