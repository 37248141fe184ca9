// Programs, their attachments and their pins, on the real kernel.

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import * as native from '../../src/kernel/native.js';
import { makeCgroup, makePinDirectory, loadObject, caught, until, u32, words } from './addon.js';

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
