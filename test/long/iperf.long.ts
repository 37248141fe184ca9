// iperf3 in all its ways.

import t from 'tap';
import { skip, Stage } from '../kernel/acceleration.js';
import { Daemon, run } from './command.js';

interface Report {
  readonly error?: string;
  readonly end: {
    readonly sum_sent: { readonly bytes: number };
    readonly sum_received: { readonly bytes: number };
  };
}

t.test('iperf3', { skip, timeout: 300_000 }, async (t) => {
  const stage = new Stage();
  t.teardown(() => stage.close());
  await stage.box.apply(stage.policy());
  const server = new Daemon(stage, stage.server, 'iperf3 -s');
  t.teardown(() => server.close());
  await server.answers(stage, 'iperf3 -c 127.0.0.1 -n 1');

  for (const options of [
    '',
    '-P 4',
    '-R',
    '-R -P 4',
    '-Z',
    '--bidir',
    '-l 1K',
    '-l 1000000',
    '-l 100 -n 20M',
    '-w 64K',
    '-N -l 16K',
    '-6 -c ::1',
  ]) {
    t.test(`iperf3 ${options}`, async (t) => {
      const limit = options.includes('-n') ? '' : '-t 2';
      const host = options.includes('-c') ? '' : '-c 127.0.0.1';
      const added = await stage.added(async () => {
        const { code, stdout, stderr } = await run(
          stage,
          stage.client,
          `iperf3 ${host} ${limit} ${options} -J`,
        );
        t.equal(code, 0, stderr);
        const { error, end } = JSON.parse(stdout) as Report;
        t.equal(error, undefined);
        t.ok(end.sum_received.bytes > 1 << 20, `${end.sum_received.bytes} bytes received`);
        t.ok(end.sum_received.bytes <= end.sum_sent.bytes, `of ${end.sum_sent.bytes} sent`);
      });
      t.ok((added['redirected'] ?? 0) >= 3, 'control and data were redirected');
      t.comment(added);
    });
  }
});
