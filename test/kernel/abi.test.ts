// Tables of another version are not guessed at.

import { join } from 'node:path';
import t from 'tap';
import { control } from '../../src/abi/layout.gen.js';
import { openPinnedMap } from '../../src/kernel/native.js';
import { policyText } from './traffic.js';
import { Sandbox } from './sandbox.js';

t.test(
  'what another version loaded is refused, stays in force, and can be taken down',
  async (t) => {
    const box = new Sandbox();
    t.teardown(() => box.close());
    const cgroup = box.cgroup('old');
    const text = policyText([
      {
        name: 'old',
        cgroups: [cgroup],
        egress: { default: 'reject' },
        ingress: { default: 'drop' },
      },
    ]);
    await box.apply(text);
    const word = openPinnedMap(join(box.place.pinRoot, 'shared/control'));
    t.teardown(() => word.close());
    word.storeWord(control.abi, word.loadWord(control.abi) + 1n);
    for (const verb of ['apply', 'diff']) {
      const { code, stderr } = await box.cgfw(verb, box.policyFile);
      t.equal(code, 2, verb);
      t.match(stderr, /tables of layout/, verb);
    }
    const sender = await box.puppet(cgroup).socket('AF_INET', 'SOCK_DGRAM');
    t.equal(await sender.try('sendto', { bytes: 'x' }, ['127.0.0.1', 9]), 'EPERM');
    t.equal((await box.cgfw('down')).code, 0);
    t.equal(await sender.try('sendto', { bytes: 'x' }, ['127.0.0.1', 9]), 'ok');
    await box.apply(text);
    t.equal(await sender.try('sendto', { bytes: 'x' }, ['127.0.0.1', 9]), 'EPERM');
  },
);
