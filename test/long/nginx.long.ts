// nginx and curl: bodies of all sizes, with sendfile and without, kept alive, in parallel.

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';
import { Daemon, run } from './command.js';

const SIZES = [1, 100, 1460, 4096, 65_535, 65_536, 1 << 20, 10 << 20, 100_000_000];
const MANY = 1000;
const PORTS = { sendfile: 8081, plain: 8082 };

t.test('nginx and curl', { skip, timeout: 300_000 }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const { folder } = stage.box;
  chmodSync(folder, 0o755);
  const root = join(folder, 'root');
  mkdirSync(root);
  const digests = new Map<number, string>();
  for (const size of SIZES) {
    const body = randomBytes(size);
    writeFileSync(join(root, String(size)), body);
    digests.set(size, createHash('sha256').update(body).digest('hex'));
  }
  const site = (port: number, sendfile: string): string =>
    `server { listen ${port}; listen [::]:${port}; root ${root}; sendfile ${sendfile}; keepalive_requests 100000; }`;
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; user root; worker_processes 2; pid ${folder}/nginx.pid; error_log stderr;
events { worker_connections 2000; }
http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
${site(PORTS.sendfile, 'on')} ${site(PORTS.plain, 'off')} }`,
  );
  const nginx = new Daemon(stage, stage.server, `nginx -c ${folder}/nginx.conf`);
  t.teardown(() => nginx.close());
  await nginx.answers(stage, `curl -sfo /dev/null http://127.0.0.1:${PORTS.plain}/1`);

  for (const [name, port] of Object.entries(PORTS)) {
    t.test(`bodies of all sizes, ${name}`, async (t) => {
      const added = await stage.added(async () => {
        for (const [size, digest] of digests)
          for (const host of ['127.0.0.1', '[::1]']) {
            const got = await run(stage, stage.client, `curl -sSf http://${host}:${port}/${size}`);
            t.equal(got.code, 0, got.stderr);
            t.equal(got.digest, digest, `${host} ${size}`);
          }
      });
      t.ok(added['redirected']! >= 2 * 2 * SIZES.length);
      t.comment(added);
    });

    t.test(`one connection kept alive, ${name}`, async (t) => {
      const urls = SIZES.map((size) => `http://127.0.0.1:${port}/${size}`).join(' ');
      const got = await run(stage, stage.client, `curl -sSf ${urls} ${urls}`);
      const hash = createHash('sha256');
      for (const size of [...SIZES, ...SIZES]) hash.update(readFileSync(join(root, String(size))));
      t.equal(got.code, 0, got.stderr);
      t.equal(got.digest, hash.digest('hex'));
    });

    t.test(`many at once, ${name}`, async (t) => {
      const out = join(folder, `out-${name}`);
      mkdirSync(out);
      const sizes = SIZES.filter((size) => size <= 1 << 20);
      const config = Array.from({ length: MANY }, (_, i) => {
        const size = sizes[i % sizes.length]!;
        return `url = "http://127.0.0.1:${port}/${size}"\noutput = "${out}/${i}"\n`;
      }).join('');
      writeFileSync(join(folder, 'curl.conf'), config);
      const line = `curl -sSf --parallel --parallel-max 100 -K ${folder}/curl.conf`;
      const got = await run(stage, stage.client, line);
      t.equal(got.code, 0, got.stderr);
      for (let i = 0; i < MANY; i++) {
        const body = readFileSync(join(out, String(i)));
        const digest = createHash('sha256').update(body).digest('hex');
        if (digest !== digests.get(sizes[i % sizes.length]!)) t.fail(`body ${i} differs`);
      }
    });
  }
});
