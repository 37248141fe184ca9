// Maps by key, in batches and through their memory, on the real kernel.

import t from 'tap';
import * as native from '../../src/kernel/native.js';
import { makeCgroup, loadObject, caught, u32, u64, words } from './addon.js';

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
    t.equal(map.equals(8, u64(5n, 6n)), true);
    t.equal(map.equals(8, u64(5n, 7n)), false);
    t.equal(map.equals(9, u64(5n, 6n)), false);
    t.equal(map.equals(32, new Uint8Array(0)), true);
    for (const outside of [
      () => map.read(25, 8),
      () => map.equals(25, u64(0n)),
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
      () => map.equals(-1, u64(0n)),
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
