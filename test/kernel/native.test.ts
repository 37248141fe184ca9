// The addon on the real kernel: cgroups and pins of its own, removed afterwards.

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { CgfwError } from '../../src/base/error.js';
import * as native from '../../src/kernel/native.js';

const ROOT = join(import.meta.dirname, '../../..');
const OBJECT = join(ROOT, 'build/test-bpf/native.bpf.o');
const REFUSED = join(ROOT, 'build/test-bpf/refused.bpf.o');
const MODULE = join(import.meta.dirname, '../../src/kernel/native.js');
const CGROUP_ROOT = cgroupRoot();
const BPF_ROOT = '/sys/fs/bpf';
const NO_WAKEUP = 1n;
const FORCE_WAKEUP = 2n;

function cgroupRoot(): string {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.find((line) => line.split(' ')[2] === 'cgroup2')?.split(' ')[1] ?? '';
}

const unique = (): string => `cgfw-test-${randomBytes(6).toString('hex')}`;

function makeCgroup(t: Test, parent = CGROUP_ROOT): string {
  const path = join(parent, unique());
  mkdirSync(path);
  t.teardown(() => rmdirSync(path));
  return path;
}

function makePinDirectory(t: Test): string {
  const path = join(BPF_ROOT, unique());
  mkdirSync(path);
  t.teardown(() => {
    for (const name of readdirSync(path)) unlinkSync(join(path, name));
    rmdirSync(path);
  });
  return path;
}

function makeDirectory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'cgfw-test-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

async function loadObject(
  t: Test,
  adjust?: (object: native.BpfObject) => void,
): Promise<native.BpfObject> {
  const object = native.openObject(OBJECT);
  t.teardown(() => object.close());
  adjust?.(object);
  await object.load();
  return object;
}

function caught(action: () => unknown): CgfwError {
  try {
    action();
  } catch (error) {
    if (error instanceof CgfwError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

async function until(fact: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!fact()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await nextTurn();
  }
}

const u32 = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
const u64 = (...words: bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(words).buffer);
const words = (bytes: Uint8Array): bigint[] => [...new BigUint64Array(bytes.slice().buffer)];
const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

/** Runs lines of a module in a fresh process, with the addon as `native`. */
function inChild(lines: string, ...options: string[]): ReturnType<typeof spawnSync> {
  return spawnSync(
    process.execPath,
    [...options, '--input-type=module', '-e', childModule(lines)],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
}

const childModule = (lines: string): string =>
  `import * as native from ${JSON.stringify(MODULE)};\nconst OBJECT = ${JSON.stringify(OBJECT)};\n${lines}`;

t.test('an object', async (t) => {
  t.test('names its maps and programs before it is loaded', async (t) => {
    const object = native.openObject(OBJECT);
    t.same(object.programs().sort(), ['add', 'allow_connect4', 'count_egress', 'deny_egress', 'emit', 'shorten', 'use_owner']); // prettier-ignore
    t.ok(
      ['pairs', 'ring', 'table', 'words', 'owners'].every((name) => object.maps().includes(name)),
    );
    t.match(object.mapSpec('pairs'), {
      type: 'percpu_array',
      keySize: 4,
      valueSize: 16,
      maxEntries: 20000,
    });
    t.equal(caught(() => object.map('pairs')).errno, 114, 'EALREADY: not in this state');
    object.close();
    t.ok(
      native.isErrno(
        caught(() => object.programs()),
        'EBADF',
      ),
    );
  });

  t.test('takes read-only data, sizes and omissions before it is loaded', async (t) => {
    const object = await loadObject(t, (object) => {
      t.same(object.rodata(), u32(1));
      object.setRodata(u32(5));
      object.setMaxEntries('table', 77);
      object.setAutoload('emit', false);
      t.ok(
        native.isErrno(
          caught(() => object.setRodata(u32(1, 2))),
          'EINVAL',
        ),
      );
      t.ok(
        native.isErrno(
          caught(() => object.setMaxEntries('absent', 1)),
          'ENOENT',
        ),
      );
    });
    const { retval, ctx } = object.program('add').testRun({ ctx: u32(2, 3, 0, 0) });
    t.equal(retval, 0);
    t.equal(words(ctx)[1], 25n);
    t.equal(object.map('table').info.maxEntries, 77);
    t.throws(() => object.program('emit'));
  });

  t.test(
    'that the verifier refuses is rejected with the telling line and the whole log',
    async (t) => {
      const error = await native.openObject(REFUSED).load().then(() => undefined, (error: unknown) => error); // prettier-ignore
      if (!(error instanceof CgfwError)) throw new Error('loaded');
      t.equal(error.code, 'verifier');
      t.match(error.message, /reads_before[^]*invalid access to packet/);
      t.equal(error.errno, 13);
      t.match((error.cause as native.LoadLog).text, /BEGIN PROG LOAD LOG[^]*processed \d+ insns/);
    },
  );

  t.test('that is not an object file is refused with what libbpf says', async (t) => {
    const file = join(makeDirectory(t), 'text.o');
    writeFileSync(file, 'no elf');
    const error = caught(() => native.openObject(file));
    t.equal(error.code, 'abi');
    t.match(error.message, /not a proper ELF object/);
    t.ok(
      native.isErrno(
        caught(() => native.openObject('/absent.o')),
        'ENOENT',
      ),
    );
  });

  t.test('is not touched while it loads', async (t) => {
    const object = native.openObject(OBJECT);
    const loading = object.load();
    t.ok(
      native.isErrno(
        caught(() => object.setRodata(u32(1))),
        'EBUSY',
      ),
    );
    t.ok(
      native.isErrno(
        caught(() => object.close()),
        'EBUSY',
      ),
    );
    t.equal(await object.load().catch((error: unknown) => (error as CgfwError).errno), 16, 'EBUSY');
    await loading;
    object.close();
  });

  t.test('shares a map of another object, and refuses one of another form', async (t) => {
    const first = await loadObject(t);
    const table = first.map('table');
    const second = await loadObject(t, (object) => {
      object.reuseMap('table', table);
      t.match(
        caught(() => object.reuseMap('words', table)),
        { code: 'abi', message: /type hash/ },
      );
    });
    table.update(u32(1), u64(2n));
    t.same(second.map('table').lookup(u32(1)), u64(2n));
    t.equal(second.map('table').info.id, table.info.id);
  });
});

t.test('a map', async (t) => {
  t.test('finds, changes, lists and forgets single entries', async (t) => {
    const map = native.createMap('hash', {
      keySize: 4,
      valueSize: 8,
      maxEntries: 100,
      name: 'single',
    });
    t.teardown(() => map.close());
    t.match(map.info, { type: 'hash', name: 'single', maxEntries: 100 });
    t.equal(map.lookup(u32(1)), null);
    map.update(u32(1), u64(10n));
    map.update(u32(2), u64(20n), native.NO_EXIST);
    t.ok(
      native.isErrno(
        caught(() => map.update(u32(2), u64(0n), native.NO_EXIST)),
        'EEXIST',
      ),
    );
    t.same(map.lookup(u32(2)), u64(20n));
    t.equal([...map.keys()].length, 2);
    t.equal(map.delete(u32(1)), true);
    t.equal(map.delete(u32(1)), false);
    t.same(map.nextKey(null), u32(2));
    t.equal(map.nextKey(u32(2)), null);
  });

  t.test('refuses keys and values of a wrong size, and any use after close', async (t) => {
    const map = native.createMap('hash', { keySize: 4, valueSize: 8, maxEntries: 1 });
    for (const wrong of [
      () => map.lookup(u64(1n)),
      () => map.update(u32(1), u32(1)),
      () => map.updateBatch(u32(1), u64(1n), 2),
      () => map.deleteBatch(u32(1, 2), 1),
      () => map.lookupBatch(u32(1), 1),
    ]) {
      // prettier-ignore
      t.ok(native.isErrno(caught(wrong), 'EINVAL'));
    }
    map.close();
    map.close();
    t.ok(
      native.isErrno(
        caught(() => map.lookup(u32(1))),
        'EBADF',
      ),
    );
    t.ok(
      native.isErrno(
        caught(() => map.fd),
        'EBADF',
      ),
    );
  });

  t.test('is written, read and emptied in batches', async (t) => {
    const map = native.createMap('hash', { keySize: 4, valueSize: 8, maxEntries: 10_000 });
    t.teardown(() => map.close());
    const keys = Uint32Array.from({ length: 10_000 }, (_, i) => i);
    const values = BigUint64Array.from(keys, (key) => BigInt(key) * 3n);
    map.updateBatch(new Uint8Array(keys.buffer), new Uint8Array(values.buffer), keys.length);
    const found = new Map<number, bigint>();
    for (const [key, value] of map.entries()) found.set(Buffer.from(key).readUInt32LE(), words(value)[0] ?? -1n); // prettier-ignore
    t.equal(found.size, 10_000);
    t.ok([...found].every(([key, value]) => value === BigInt(key) * 3n));
    map.deleteBatch(new Uint8Array(keys.buffer, 0, 4 * 9_000), 9_000);
    t.equal([...map.keys()].length, 1_000);
    t.ok(
      native.isErrno(
        caught(() => map.deleteBatch(u32(0), 1)),
        'ENOENT',
      ),
    );
  });

  t.test('lists all entries of an array, empty ones too', async (t) => {
    const map = native.createMap('array', { keySize: 4, valueSize: 8, maxEntries: 3000 });
    t.teardown(() => map.close());
    const keys = [...map.entries()].map(([key]) => Buffer.from(key).readUInt32LE());
    t.same(
      keys,
      Array.from({ length: 3000 }, (_, i) => i),
    );
  });

  t.test('without batches in the kernel is listed one by one', async (t) => {
    const object = await loadObject(t);
    const cgroup = makeCgroup(t);
    const owners = object.map('owners');
    const link = native.attachCgroup(object.program('use_owner'), cgroup, 'ingress');
    t.teardown(() => link.close());
    t.ok(
      native.isErrno(
        caught(() => owners.lookupBatch(null, 10)),
        'ENOTSUPP',
      ),
    );
    const entries = [...owners.entries()];
    t.equal(entries.length, 1);
    t.equal(words(entries[0]?.[0] ?? new Uint8Array(16))[0], link.info.cgroupId);
  });

  t.test('mapped into memory is read and written as bytes and words', async (t) => {
    const object = await loadObject(t);
    const map = object.map('words');
    t.same(map.read(0, 32), new Uint8Array(32));
    map.write(8, u64(5n, 6n));
    map.storeWord(24, 0xffff_ffff_ffff_ffffn);
    t.same(words(map.read(0, 32)), [0n, 5n, 6n, 0xffff_ffff_ffff_ffffn]);
    t.same(map.lookup(u32(2)), u64(6n), 'the kernel sees it');
    t.equal(map.loadWord(24), 0xffff_ffff_ffff_ffffn);
    t.same(map.read(32, 0), new Uint8Array(0));
    for (const outside of [
      () => map.read(25, 8),
      () => map.write(32, u32(1)),
      () => map.loadWord(32),
    ]) {
      t.ok(native.isErrno(caught(outside), 'ERANGE'));
    }
    for (const wrong of [
      () => map.loadWord(4),
      () => map.read(-1, 1),
      () => map.read(0.5, 1),
      () => map.read(33, 0),
      () => map.storeWord(0, 1n << 64n),
      () => map.storeWord(0, -1n),
    ]) {
      // prettier-ignore
      t.ok(native.isErrno(caught(wrong), 'EINVAL'));
    }
    t.ok(
      native.isErrno(
        caught(() => object.map('table').read(0, 1)),
        'ENODEV',
      ),
    );
    map.close();
    t.ok(
      native.isErrno(
        caught(() => map.read(0, 1)),
        'EBADF',
      ),
    );
  });

  t.test('for each CPU is summed as one look-up after the other would be', async (t) => {
    const object = await loadObject(t);
    const pairs = object.map('pairs');
    const cpus = (pairs.lookup(u32(0)) ?? []).length / 16;
    for (const i of [0, 1, 7, 4095, 4096, 19_999]) {
      pairs.update(
        u32(i),
        u64(...Array.from({ length: 2 * cpus }, (_, word) => BigInt(i * 1000 + word))),
      );
    }
    const single = (i: number): bigint[] => {
      const all = words(pairs.lookup(u32(i)) ?? new Uint8Array());
      return [0, 1].map((word) =>
        all.filter((_, at) => at % 2 === word).reduce((a, b) => a + b, 0n),
      );
    };
    const sums = pairs.sumPerCpu(0, 20_000);
    t.equal(sums.length, 40_000);
    for (const i of [0, 1, 2, 7, 4095, 4096, 19_999])
      t.same([...sums.subarray(2 * i, 2 * i + 2)], single(i));
    t.same([...pairs.sumPerCpu(7, 1)], single(7));
    t.same([...pairs.sumPerCpu(19_999, 1)], single(19_999));
    t.same(pairs.sumPerCpu(3, 0).length, 0);
    t.ok(
      native.isErrno(
        caught(() => pairs.sumPerCpu(19_999, 2)),
        'EINVAL',
      ),
    );
    t.ok(
      native.isErrno(
        caught(() => object.map('table').sumPerCpu(0, 1)),
        'EINVAL',
      ),
    );
  });
});

t.test('a program', async (t) => {
  t.test('tells its identity, by itself and by id', async (t) => {
    const object = await loadObject(t);
    const program = object.program('count_egress');
    t.match(program.info, { type: 'cgroup_skb', name: 'count_egress', tag: /^[0-9a-f]{16}$/ });
    t.ok(program.info.mapIds.includes(object.map('pairs').info.id));
    t.ok(program.info.loadedAt > 0n);
    t.same(native.programInfo(program.info.id), program.info);
    t.equal(native.programInfo(0x7fff_fff0), null);
  });

  t.test('runs on a packet', async (t) => {
    const object = await loadObject(t);
    const packet = new Uint8Array(64).map((_, i) => i);
    const xdp = object.program('shorten').testRun({ data: packet, dataOutSize: 256, repeat: 1 });
    t.equal(xdp.retval, 2);
    t.same(xdp.data, packet.subarray(0, 60));
    const ip = Uint8Array.from([
      ...new Array<number>(12).fill(0),
      8,
      0,
      0x45,
      ...new Array<number>(45).fill(0),
    ]);
    const skb = object.program('count_egress').testRun({ data: ip, repeat: 1000 });
    t.equal(skb.retval, 1);
    t.equal(object.map('pairs').sumPerCpu(0, 1)[0], 1000n);
    t.ok(skb.durationNs < 1_000_000);
  });

  t.test('does not write into the memory of its caller', async (t) => {
    const object = await loadObject(t);
    const ctx = u32(1, 2, 0, 0);
    t.equal(words(object.program('add').testRun({ ctx }).ctx)[1], 3n);
    t.same(ctx, u32(1, 2, 0, 0));
  });
});

t.test('a link', async (t) => {
  t.test('attaches beside others, is pinned, found again, replaced and ended', async (t) => {
    const object = await loadObject(t);
    const [cgroup, pins] = [makeCgroup(t), makePinDirectory(t)];
    const [count, deny] = [object.program('count_egress'), object.program('deny_egress')];
    const link = native.attachCgroup(count, cgroup, 'egress');
    link.pin(join(pins, 'egress'));
    link.close();

    const again = native.openPinnedLink(join(pins, 'egress'));
    t.teardown(() => again.close());
    const cgroupId = BigInt(statSync(cgroup).ino);
    t.match(again.info, {
      type: 'cgroup',
      progId: count.info.id,
      cgroupId,
      attachType: 'egress',
      ifindex: 0,
    });
    t.same(native.linkInfo(again.info.id), again.info);
    t.ok(native.allLinks().some((other) => other.id === again.info.id));

    again.update(deny, { expected: count });
    t.equal(again.info.progId, deny.info.id);
    t.ok(
      native.isErrno(
        caught(() => again.update(count, { expected: count })),
        'EPERM',
      ),
    );
    again.update(count);
    t.same(
      native.queryCgroup(cgroup, 'egress', 'direct').programs.map(({ id }) => id),
      [count.info.id],
    );

    again.detach();
    t.equal(again.info.cgroupId, 0n);
    t.ok(
      native.isErrno(
        caught(() => again.update(deny)),
        'ENOLINK',
      ),
    );
    t.same(native.queryCgroup(cgroup, 'egress', 'direct').programs, []);
  });

  t.test('ends with its last descriptor when it is not pinned', async (t) => {
    const object = await loadObject(t);
    const cgroup = makeCgroup(t);
    const link = native.attachCgroup(object.program('allow_connect4'), cgroup, 'connect4');
    t.equal(native.queryCgroup(cgroup, 'connect4', 'direct').programs.length, 1);
    link.close();
    await until(
      () => native.queryCgroup(cgroup, 'connect4', 'direct').programs.length === 0,
      'detached',
    );
    t.ok(
      native.isErrno(
        caught(() => link.info),
        'EBADF',
      ),
    );
  });

  t.test('counts for the cgroups below it', async (t) => {
    const object = await loadObject(t);
    const parent = makeCgroup(t);
    const child = makeCgroup(t, parent);
    const links = [parent, child].map((path) =>
      native.attachCgroup(object.program('count_egress'), path, 'egress'),
    );
    t.equal(native.queryCgroup(child, 'egress', 'direct').programs.length, 1);
    t.equal(native.queryCgroup(child, 'egress', 'direct').attachFlags, 2);
    t.equal(native.queryCgroup(child, 'egress', 'effective').programs.length, 2);
    for (const link of links) link.close();
    await until(
      () => native.queryCgroup(child, 'egress', 'effective').programs.length === 0,
      'detached',
    );
  });

  t.test('is refused with a reason: no cgroup, an exclusive program, too many', async (t) => {
    const object = await loadObject(t);
    const program = object.program('count_egress');
    const parent = makeCgroup(t);
    const child = makeCgroup(t, parent);
    t.match(
      caught(() => native.attachCgroup(program, join(parent, 'absent'), 'egress')),
      { code: 'no-cgroup', errno: 2 },
    );
    t.match(
      caught(() => native.attachCgroup(program, tmpdir(), 'egress')),
      { code: 'no-cgroup' },
    );
    t.match(
      caught(() => native.attachCgroup(program, child, 'connect4')),
      { code: 'kernel', errno: 22 },
    );

    const bpftool = (...args: string[]): void => {
      const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
      execFileSync('bpftool', args, { env });
    };
    bpftool('cgroup', 'attach', parent, 'egress', 'id', String(program.info.id));
    t.match(
      caught(() => native.attachCgroup(program, child, 'egress')),
      { code: 'exclusive-program', errno: 1 },
    );
    bpftool('cgroup', 'detach', parent, 'egress', 'id', String(program.info.id));

    const links = Array.from({ length: 64 }, () => native.attachCgroup(program, child, 'egress'));
    t.match(
      caught(() => native.attachCgroup(program, child, 'egress')),
      { code: 'too-many-programs', errno: 7 },
    );
    t.equal(native.queryCgroup(child, 'egress', 'direct').programs.length, 64);
    for (const link of links) link.close();
    await until(
      () => native.queryCgroup(child, 'egress', 'direct').programs.length === 0,
      'detached',
    );
  });

  t.test('is listed with all others of a directory, in one call', async (t) => {
    const object = await loadObject(t);
    const [cgroup, pins] = [makeCgroup(t), makePinDirectory(t)];
    const program = object.program('count_egress');
    for (let i = 0; i < 60; i++) {
      const link = native.attachCgroup(program, cgroup, 'egress');
      link.pin(join(pins, `link-${String(i)}`));
      link.close();
    }
    object.map('words').pin(join(pins, 'map'));
    const listed = native.listLinks(pins);
    t.equal(listed.length, 61);
    t.same(
      listed.find(({ name }) => name === 'map'),
      { name: 'map', error: 124 },
    );
    const links = listed.flatMap((item) => (item.error === undefined ? [item] : []));
    t.equal(new Set(links.map(({ linkId }) => linkId)).size, 60);
    const cgroupId = BigInt(statSync(cgroup).ino);
    t.ok(links.every((link) => link.progId === program.info.id && link.cgroupId === cgroupId && link.attachType === 'egress')); // prettier-ignore
    t.ok(
      native.isErrno(
        caught(() => native.listLinks(join(pins, 'absent'))),
        'ENOENT',
      ),
    );
  });
});

t.test('a pin is opened as what it is, and as nothing else', async (t) => {
  const object = await loadObject(t);
  const pins = makePinDirectory(t);
  object.map('words').pin(join(pins, 'map'));
  object.program('add').pin(join(pins, 'program'));
  const map = native.openPinnedMap(join(pins, 'map'));
  const program = native.openPinnedProgram(join(pins, 'program'));
  t.equal(map.info.name, 'words');
  t.equal(program.info.name, 'add');
  map.close();
  program.close();
  t.ok(
    native.isErrno(
      caught(() => native.openPinnedLink(join(pins, 'map'))),
      'EMEDIUMTYPE',
    ),
  );
  t.ok(
    native.isErrno(
      caught(() => native.openPinnedMap(join(pins, 'program'))),
      'EMEDIUMTYPE',
    ),
  );
  t.ok(
    native.isErrno(
      caught(() => native.openPinnedProgram(join(pins, 'map'))),
      'EMEDIUMTYPE',
    ),
  );
  t.ok(
    native.isErrno(
      caught(() => native.openPinnedMap(join(pins, 'absent'))),
      'ENOENT',
    ),
  );
  t.ok(
    native.isErrno(
      caught(() => object.map('words').pin(join(pins, 'map'))),
      'EEXIST',
    ),
  );
});

t.test('a ring', async (t) => {
  const emit = (object: native.BpfObject, count: number, flags: bigint, first = 0, discard = 0n): number =>
    Number(words(object.program('emit').testRun({ ctx: u64(BigInt(count), flags, BigInt(first), discard, 0n) }).ctx)[4]); // prettier-ignore
  const numbers = (records: Uint8Array): number[] =>
    words(records).flatMap((word, i) => (i % 2 === 0 ? [Number(word)] : []));

  t.test('delivers 100,000 records complete and in order, in bounded batches', async (t) => {
    const object = await loadObject(t);
    const seen: number[] = [];
    const batches: number[] = [];
    const ring = native.openRing(object.map('ring'), (records, sizes) => {
      t.equal(records.length, sizes.length * 16);
      batches.push(sizes.length);
      seen.push(...numbers(records));
    });
    t.teardown(() => ring.close());
    t.equal(emit(object, 100_000, NO_WAKEUP), 100_000);
    t.equal(ring.pendingBytes, 24 * 100_000);
    t.equal(ring.consume(), 65_536);
    t.equal(ring.consume(), 100_000 - 65_536);
    t.equal(ring.consume(), 0);
    t.same(batches, [65_536, 100_000 - 65_536]);
    t.ok(seen.length === 100_000 && seen.every((number, i) => number === i));
    t.equal(ring.pendingBytes, 0);
  });

  t.test('that overflows keeps what fits, and goes on after it is read', async (t) => {
    const object = await loadObject(t, (object) => object.setMaxEntries('ring', 4096));
    let count = 0;
    const ring = native.openRing(object.map('ring'), (_records, sizes) => (count += sizes.length));
    t.teardown(() => ring.close());
    for (let round = 1; round <= 50; round++) {
      const kept = emit(object, 1000, NO_WAKEUP);
      t.equal(kept, 170);
      ring.consume();
      t.equal(count, 170 * round);
    }
  });

  t.test('leaves out records that the program gave up', async (t) => {
    const object = await loadObject(t);
    const seen: number[] = [];
    const ring = native.openRing(object.map('ring'), (records) => seen.push(...numbers(records)));
    t.teardown(() => ring.close());
    emit(object, 10, NO_WAKEUP, 0, 1n);
    t.equal(ring.consume(), 7);
    t.same(seen, [0, 1, 3, 4, 6, 7, 9]);
  });

  t.test('wakes the event loop when the program asks for it, for all that waits', async (t) => {
    const object = await loadObject(t);
    const seen: number[] = [];
    const ring = native.openRing(
      object.map('ring'),
      (records) => void seen.push(...numbers(records)),
    );
    t.teardown(() => ring.close());
    for (let round = 0; round < 5; round++) {
      emit(object, 99_999, NO_WAKEUP, seen.length);
      emit(object, 1, FORCE_WAKEUP, seen.length + 99_999);
      await until(() => seen.length >= (round + 1) * 100_000, 'a wake-up');
    }
    t.ok(seen.every((number, i) => number === i));
  });

  t.test('does not wake the event loop for records without a wake-up', async (t) => {
    const object = await loadObject(t);
    let batches = 0;
    const ring = native.openRing(object.map('ring'), () => batches++);
    t.teardown(() => ring.close());
    emit(object, 1, FORCE_WAKEUP);
    await until(() => batches === 1, 'a wake-up');
    emit(object, 10, NO_WAKEUP);
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    t.equal(batches, 1);
    t.equal(ring.consume(), 10);
  });

  t.test('may be closed by its own callback, twice, and is unusable then', async (t) => {
    const object = await loadObject(t);
    let closed = false;
    const ring = native.openRing(object.map('ring'), () => {
      ring.close();
      closed = true;
    });
    emit(object, 100_000, FORCE_WAKEUP);
    await until(() => closed, 'a wake-up');
    ring.close();
    t.ok(
      native.isErrno(
        caught(() => ring.consume()),
        'EBADF',
      ),
    );
    t.ok(
      native.isErrno(
        caught(() => native.openRing(object.map('table'), () => undefined)),
        'EINVAL',
      ),
    );
  });

  t.test('hands on what its callback throws: to the caller, or as uncaught', async (t) => {
    const object = await loadObject(t);
    const ring = native.openRing(object.map('ring'), () => {
      throw new Error('from the callback');
    });
    t.teardown(() => ring.close());
    emit(object, 1, NO_WAKEUP);
    t.throws(() => ring.consume(), { message: 'from the callback' });
    t.equal(ring.consume(), 0, 'the record is spent');
    const child = inChild(`
      const object = native.openObject(OBJECT);
      await object.load();
      native.openRing(object.map('ring'), () => { throw new Error('from the loop'); });
      process.on('uncaughtException', (error) => { console.log(error.message); process.exit(3); });
      object.program('emit').testRun({ ctx: new Uint8Array(BigUint64Array.of(1n, 2n, 0n, 0n, 0n).buffer) });
    `);
    t.equal(child.status, 3);
    t.equal(child.stdout, 'from the loop\n');
  });

  t.test('keeps the process alive unless told otherwise', async (t) => {
    const child = inChild(`
      const object = native.openObject(OBJECT);
      await object.load();
      const ring = native.openRing(object.map('ring'), () => {});
      ring.unref(); ring.ref(); ring.unref();
      process.on('exit', () => console.log('ended'));
    `);
    t.equal(child.status, 0);
    t.equal(child.stdout, 'ended\n');
  });

  t.test('ends with the worker thread that opened it', async () => {
    const before = openDescriptors();
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(
        childModule(`
          import { parentPort } from 'node:worker_threads';
          const object = native.openObject(OBJECT);
          await object.load();
          globalThis.kept = native.openRing(object.map('ring'), () => {});
          object.map('words').read(0, 8);
          parentPort.postMessage('open');
        `).replace(/^import/, 'import'),
        { eval: true, execArgv: ['--input-type=module'] },
      );
      await Promise.race([
        once(worker, 'message'),
        once(worker, 'error').then(([error]) => Promise.reject(error as Error)),
      ]);
      await worker.terminate();
    }
    await until(() => openDescriptors() <= before, 'descriptors closed');
  });
});

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
