import t from 'tap';
import { CgfwError } from '../../src/base/error.js';

t.test('an error carries a code and a fix beside its message', async (t) => {
  const error = new CgfwError('port 0 is not a port', { code: 'usage', fix: 'use 1 to 65535' });
  t.equal(error.code, 'usage');
  t.equal(error.fix, 'use 1 to 65535');
  t.same(error.diagnostics, []);
});
