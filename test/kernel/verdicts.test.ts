import t from 'tap';
import { Sandbox } from './sandbox.js';

// Addresses in 127.0.0.0/8 are this host's; none of these is a byte palindrome.
const BLOCKED = '127.1.2.3';
const OTHER = '127.1.2.4';

t.test('a rejected address', async (t) => {
  const box = new Sandbox();
  t.teardown(() => box.close());
  const cgroup = box.cgroup('web');
  const puppet = box.puppet(cgroup);
  const policy = (rules: string): string => `version: 1
policies:
  - name: web
    cgroups: [${cgroup}]
    egress:
      default: allow
      rules: ${rules}
`;
  const server = await puppet.socket();
  await server.do('bind', ['0.0.0.0', 0]);
  await server.do('listen');
  const port = await server.port();
  const connectTo = async (address: string): Promise<string> => {
    const socket = await puppet.socket();
    const result = await socket.try('connect', [address, port]);
    await socket.do('close');
    return result;
  };

  await t.test('refuses connect() at once with EPERM, and other addresses work', async (t) => {
    await box.apply(policy(`[{action: reject, to: ${BLOCKED}}]`));
    t.equal(await connectTo(BLOCKED), 'EPERM');
    t.equal(await connectTo(OTHER), 'ok');
  });

  await t.test('is allowed again when the rule is gone', async (t) => {
    await box.apply(policy('[]'));
    t.equal(await connectTo(BLOCKED), 'ok');
  });
});
