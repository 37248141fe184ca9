// redis with pipelines, and values that come back as they were stored.

import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';
import { Daemon, run } from './command.js';

const SMALL = 'ping,set,get,incr,lpush,lrange_100,mset';
const LARGE = 'set,get';

t.test('redis', { skip, timeout: 300_000 }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const { folder } = stage.box;
  const options = `--port 6379 --bind 127.0.0.1 --save '' --dir ${folder} --protected-mode no`;
  const server = new Daemon(stage, stage.server, `redis-server ${options}`);
  t.teardown(() => server.close());
  await server.answers(stage, 'redis-cli ping');

  for (const options of [
    '-n 100000 -P 16 -c 50',
    '-n 200000 -P 500 -c 10',
    '-n 20000 -P 1 -c 200',
    '-n 2000 -d 100000 -P 4 -c 20',
    '-n 100000 -P 32 -c 50 --threads 2',
  ]) {
    t.test(`redis-benchmark ${options}`, async (t) => {
      const added = await stage.added(async () => {
        const line = `redis-benchmark ${options} -q -r 1000 -t ${options.includes('-d') ? LARGE : SMALL}`;
        const { code, stdout, stderr } = await run(stage, stage.client, line);
        t.equal(code, 0, stderr);
        t.match(stdout, /SET: [\d.]+ requests per second/);
        t.notMatch(stdout + stderr, /error/i);
      });
      t.ok(added['redirected']! > 0);
      t.comment(added);
    });
  }

  for (const size of [1, 5000, 1 << 20, 50 << 20]) {
    t.test(`a value of ${size} bytes`, async (t) => {
      const value = randomBytes(size);
      writeFileSync(join(folder, 'value'), value);
      const set = await run(stage, stage.client, `redis-cli -x SET value < ${folder}/value`);
      t.match(set, { code: 0, stdout: 'OK\n' });
      const got = await run(stage, stage.client, 'redis-cli --raw GET value');
      const expected = createHash('sha256').update(value).update('\n').digest('hex');
      t.equal(got.digest, expected);
    });
  }
});
