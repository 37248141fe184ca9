import { CgfwError } from '../../base/error.js';
import { CGROUP_ROOT_OPTION, DEFAULT_POLICY, POLICY_ARGUMENT, textOption } from '../command.js';
import type { Options, Verb } from '../command.js';
import { writablePlace } from '../prepare.js';
import { whenAborted } from '../world.js';

export const run: Verb = {
  name: 'run',
  summary: 'the agent: watch the policy file and keep the kernel in step with it',
  args: [POLICY_ARGUMENT],
  options: [
    ['--json', 'log JSON lines (the default unless stdout is a terminal)'],
    ['--log-level <level>', 'debug, info, warn or error (default info)'],
    ['--resync <seconds>', 'look at file and kernel at least this often (default 30)'],
    CGROUP_ROOT_OPTION,
  ],
  examples: [
    ['cgfw run', 'enforces /etc/cgfw/policy.yaml and follows every change of it'],
    [
      'kill -HUP PID',
      'makes the agent look at once; SIGTERM ends it and leaves enforcement in place',
    ],
  ],
  exits: '0 ended by a signal, 2 trouble',
  run: async (world, args, options) => {
    const place = writablePlace(world, options);
    const format = options['json'] === true || !world.isTerminal ? 'json' : 'pretty';
    const level = levelOf(options);
    const resync = resyncMs(options);
    // Watcher and log take longer to load than most verbs take to run.
    const [{ Agent }, { openLog }] = await Promise.all([
      import('../../agent/agent.js'),
      import('../../report/log.js'),
    ]);
    const log = await openLog(format, level);
    const starting = Agent.start({
      place,
      policyPath: args[0] ?? DEFAULT_POLICY,
      log,
      resyncMs: resync,
      uid: world.uid,
      env: world.env,
    });
    // A SIGHUP that comes while we start must not end us.
    world.onReload(() => void starting.then((agent) => agent.mark('reload')));
    const agent = await starting;
    await whenAborted(world.stop);
    await agent.close();
    log.info('agent stopped; the loaded policy stays in force (cgfw down removes it)');
    return 0;
  },
};

function levelOf(options: Options): string {
  const level = textOption(options, 'logLevel') ?? 'info';
  if (['debug', 'info', 'warn', 'error'].includes(level)) return level;
  throw new CgfwError(`--log-level: ${level} is not a level`, {
    code: 'usage',
    fix: 'use debug, info, warn or error',
  });
}

function resyncMs(options: Options): number {
  const seconds = Number(textOption(options, 'resync') ?? '30');
  if (seconds >= 1 && seconds <= 86_400) return seconds * 1000;
  throw new CgfwError(
    `--resync: ${textOption(options, 'resync') ?? ''} is not a number of seconds from 1 to 86400`,
    {
      code: 'usage',
      fix: 'write it as --resync 30',
    },
  );
}
