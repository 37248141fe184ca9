// One ELF file of programs and maps, on the real kernel.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CgfwError } from '../../src/base/error.js';
import * as native from '../../src/kernel/native.js';
import { OBJECT, REFUSED, makeDirectory, loadObject, caught, u32, u64, words } from './addon.js';

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
