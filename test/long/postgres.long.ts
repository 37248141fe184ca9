// PostgreSQL: pgbench without a failed transaction, and results as over a Unix socket.

import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';
import { Daemon, run } from './command.js';

const VERSIONS = '/usr/lib/postgresql';
const AS = 'setpriv --reuid=postgres --regid=postgres --init-groups';

t.test('PostgreSQL', { skip, timeout: 300_000 }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const { folder } = stage.box;
  const bin = join(VERSIONS, readdirSync(VERSIONS).sort().at(-1) ?? '', 'bin');
  const place = join(folder, 'postgres');
  chmodSync(folder, 0o755);
  mkdirSync(place);
  execFileSync('chown', ['postgres', place]);
  const init = await run(
    stage,
    stage.server,
    `cd / && ${AS} ${bin}/initdb --no-sync -A trust -D ${place}/data`,
  );
  t.equal(init.code, 0, init.stderr);
  const server = new Daemon(
    stage,
    stage.server,
    `${AS} ${bin}/postgres -D ${place}/data -k ${place} -c fsync=off -c listen_addresses=127.0.0.1`,
  );
  t.teardown(() => server.close());
  const tcp = '-h 127.0.0.1 -U postgres';
  const local = `-h ${place} -U postgres`;
  await server.answers(stage, `${bin}/psql ${tcp} -c 'select 1' postgres`);

  t.test('pgbench', async (t) => {
    const filled = await run(stage, stage.client, `${bin}/pgbench ${tcp} -i -s 5 -q postgres`);
    t.equal(filled.code, 0, filled.stderr);
    for (const options of ['-c 8 -j 2', '-c 8 -j 2 -M prepared', '-c 8 -S', '-c 4 -C -S']) {
      const added = await stage.added(async () => {
        const { code, stdout, stderr } = await run(
          stage,
          stage.client,
          `${bin}/pgbench ${tcp} ${options} -T 4 postgres`,
        );
        t.equal(code, 0, stderr);
        t.match(stdout, /number of failed transactions: 0 \(/, options);
        t.notMatch(stderr, /error|lost|closed/i);
      });
      t.ok(added['redirected']! > 0);
      t.comment(options, added);
    }
  });

  t.test('large results and large input', async (t) => {
    const query = `copy (select n, md5(n::text), repeat(md5(n::text), n % 100) from generate_series(1, 100000) n) to stdout`;
    const ask = (how: string): string => `${bin}/psql ${how} -c '${query}' postgres`;
    const expected = await run(stage, stage.client, ask(local));
    t.equal(expected.code, 0, expected.stderr);
    const added = await stage.added(async () => {
      t.equal((await run(stage, stage.client, ask(tcp))).digest, expected.digest);
    });
    t.ok(added['redirected']! > 0);
    t.comment(added);
    const table = 'create table copied (n int, sum text, long text)';
    await run(stage, stage.client, `${bin}/psql ${tcp} -c '${table}' postgres`);
    const copy = `${ask(local)} | ${bin}/psql ${tcp} -c 'copy copied from stdin' postgres`;
    t.match(await run(stage, stage.client, copy), { code: 0, stdout: 'COPY 100000\n' });
    const back = `${bin}/psql ${local} -c 'copy (select * from copied order by n) to stdout' postgres`;
    t.equal((await run(stage, stage.client, back)).digest, expected.digest);
  });
});
