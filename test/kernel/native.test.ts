// What the addon asks of the system, and what it leaves behind.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import * as native from '../../src/kernel/native.js';
import {
  OBJECT,
  CGROUP_ROOT,
  makeCgroup,
  makeDirectory,
  loadObject,
  caught,
  until,
  openDescriptors,
  inChild,
  childModule,
} from './addon.js';

t.test('what is closed, or forgotten and collected, leaves no descriptor behind', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const cgroup = makeCgroup(t);
  const round = async (end: 'close' | 'forget'): Promise<void> => {
    const object = native.openObject(OBJECT);
    await object.load();
    const map = object.map('words');
    map.read(0, 8);
    const link = native.attachCgroup(object.program('count_egress'), cgroup, 'egress');
    const ring = native.openRing(object.map('ring'), () => undefined);
    ring.close();
    if (end === 'forget') return;
    for (const closable of [object, map, link]) closable.close();
  };
  await round('close');
  collect();
  await nextTurn();
  const before = openDescriptors();
  for (let i = 0; i < 20; i++) await round(i % 2 === 0 ? 'close' : 'forget');
  await until(() => {
    collect();
    return openDescriptors() <= before;
  }, 'descriptors closed');
  t.equal(native.queryCgroup(cgroup, 'egress', 'direct').programs.length, 0);
});

t.test('every descriptor of ours closes when a program is executed', async (t) => {
  const object = await loadObject(t);
  const ring = native.openRing(object.map('ring'), () => undefined);
  const lock = native.lockFile(join(makeDirectory(t), 'lock'), 'exclusive', 'try');
  t.teardown(() => (ring.close(), lock?.close()));
  const listing = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  t.notMatch(listing, /bpf|lock|eventpoll/);
});

t.test('waiting for running programs ends, by barrier and by map swap', async () => {
  await Promise.all([native.membarrier(), native.membarrier(), native.waitForPrograms()]);
});

t.test('a lock', async (t) => {
  const hold = async (path: string): Promise<ChildProcess> => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', childModule(`
      globalThis.lock = native.lockFile(${JSON.stringify(path)}, 'exclusive', 'try');
      console.log(lock === null ? 'refused' : 'held');
      setInterval(() => {}, 1000);
    `)]); // prettier-ignore
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- the overloads of spawn do not say
    if (child.stdout === null) throw new Error('no output');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    if (String(line) !== 'held\n') throw new Error(String(line));
    return child;
  };

  t.test('excludes another process until that is killed', async (t) => {
    const path = join(makeDirectory(t), 'lock');
    const child = await hold(path);
    t.equal(native.lockFile(path, 'exclusive', 'try'), null);
    t.equal(native.lockFile(path, 'shared', 'try'), null);
    const waiting = native.lockFile(path, 'exclusive', 'wait');
    child.kill('SIGKILL');
    const lock = await waiting;
    t.equal(native.lockFile(path, 'exclusive', 'try'), null);
    lock.close();
    native.lockFile(path, 'exclusive', 'try')?.close();
  });

  t.test('may be shared, and waiting for it may be given up', async (t) => {
    const path = join(makeDirectory(t), 'lock');
    const [first, second] = [
      native.lockFile(path, 'shared', 'try'),
      native.lockFile(path, 'shared', 'try'),
    ];
    t.ok(first !== null && second !== null);
    const giveUp = new AbortController();
    const waiting = native.lockFile(path, 'exclusive', 'wait', giveUp.signal);
    giveUp.abort();
    await t.rejects(waiting, { name: 'AbortError' });
    first?.close();
    second?.close();
    t.ok(
      native.isErrno(
        caught(() => native.lockFile('/absent/lock', 'shared', 'try')),
        'ENOENT',
      ),
    );
  });
});

t.test('a bpf file system is mounted and recognised', async (t) => {
  const directory = makeDirectory(t);
  t.not(native.statfsType(directory), native.BPF_FS_MAGIC);
  native.mountBpffs(directory);
  t.teardown(() => execFileSync('umount', [directory]));
  t.equal(native.statfsType(directory), native.BPF_FS_MAGIC);
  t.equal(native.statfsType(CGROUP_ROOT), native.CGROUP2_MAGIC);
  t.ok(
    native.isErrno(
      caught(() => native.statfsType('/absent')),
      'ENOENT',
    ),
  );
});

t.test(
  'exec replaces the process, which keeps its id and gets plain signals and descriptors',
  async (t) => {
    const child = inChild(`
    console.log(process.pid);
    native.exec('/bin/sh', ['sh', '-c', 'echo $$ "$WORD"; grep SigIgn /proc/self/status; ls -l /proc/self/fd'], { WORD: 'two words', ABSENT: undefined });
  `);
    const [pid, answer, ignored, ...descriptors] = String(child.stdout).trimEnd().split('\n');
    t.equal(answer, `${pid ?? ''} two words`);
    t.match(ignored, /SigIgn:\s+0+$/);
    t.notMatch(descriptors.join('\n'), /eventpoll|eventfd|anon_inode/);
    t.match(
      caught(() => native.exec('/absent', ['absent'], {})),
      { operation: 'execute', errno: 2 },
    );
    t.match(
      caught(() => native.exec('/bin/true', [], {})),
      { errno: 22 },
    );
  },
);

t.test('the main thread enters another network namespace', async (t) => {
  const other = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  t.teardown(() => other.kill());
  const path = `/proc/${String(other.pid)}/ns/net`;
  await until(() => readlinkSync(path) !== readlinkSync('/proc/self/ns/net'), 'a namespace');
  const child = inChild(`
    import { readlinkSync } from 'node:fs';
    native.setNetns(${JSON.stringify(path)});
    console.log(readlinkSync('/proc/thread-self/ns/net'));
  `);
  t.equal(child.stdout, `${readlinkSync(path)}\n`);
});

t.test('probes tell what this kernel knows', async (t) => {
  t.equal(native.probeProgramType('cgroup_skb'), true);
  t.equal(native.probeMapType('ringbuf'), true);
  t.equal(native.probeHelper('cgroup_skb', 130), true, 'ringbuf_output');
  t.equal(native.probeHelper('cgroup_skb', 44), false, 'xdp_adjust_head');
  t.equal(native.probeHelper('syscall', 181), true, 'loop');
  t.equal(native.probeHelper('cgroup_sock_addr', 187), true, 'set_retval');
  t.equal(native.probeHelper('xdp', 100_000), false, 'none has this number');
});
