// All local TCP goes by the loopback interface: a policy of it judges accelerated connections too.

import t from 'tap';
import { canAccelerate } from '../../src/kernel/acceleration.js';
import type { StatusAcceleration } from '../../src/report/acceleration.js';
import { Sandbox } from './sandbox.js';
import { Wire } from './wire.js';

const skip = canAccelerate() ? false : 'this kernel does not accelerate';

t.test(
  'a policy of the loopback interface stops a connection that is accelerated',
  { skip },
  async (t) => {
    const box = new Sandbox();
    const wire = new Wire();
    t.teardown(async () => {
      await box.close();
      wire.close();
    });
    const both = box.cgroup('both');
    const text = `version: 1\npolicies:\n  - name: both\n    cgroups: [${both}]\n    accelerate: true\n`;
    const acceleration = async (): Promise<StatusAcceleration> =>
      (await box.json('status', box.policyFile))['acceleration'] as StatusAcceleration;
    await box.apply(text);
    const puppet = box.puppet(both, wire.inside.name);
    const listener = await puppet.socket('AF_INET');
    await listener.do('bind', ['127.0.0.1', 0]);
    await listener.do('listen', 16);
    const port = await listener.port();
    const near = await puppet.socket('AF_INET');
    await near.do('connect', ['127.0.0.1', port]);
    const far = await listener.accept();
    await near.do('sendall', { bytes: 'before' });
    t.equal(await far.do('recv', 10), 'before');
    t.equal((await acceleration()).messages, 1);

    const rules = `[{action: drop, from: any, ports: [${String(port)}/tcp]}]`;
    const loop = `interfaces:\n  - name: loop\n    interfaces: [lo]\n    ingress: {default: allow, rules: ${rules}}\n`;
    await box.apply(text + loop);
    await near.do('sendall', { bytes: 'denied' });
    t.equal(await far.try('recv', 10), 'TIMEOUT', 'nothing arrives');
    const { messages, fallbacks } = await acceleration();
    t.equal(messages, 1);
    t.equal(fallbacks['interface'], 1);
  },
);
