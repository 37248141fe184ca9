// The event ring, on the real kernel.

import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import * as native from '../../src/kernel/native.js';
import {
  NO_WAKEUP,
  FORCE_WAKEUP,
  loadObject,
  caught,
  until,
  u64,
  words,
  openDescriptors,
  inChild,
  childModule,
} from './addon.js';

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
