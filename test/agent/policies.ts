// Small policies as text, and a look at what a cgroup may do under them.

import type { Puppet } from '../kernel/puppet.js';

export interface Writing {
  readonly rules?: string;
  readonly default?: string;
  readonly log?: string;
  readonly sets?: string;
}

/** One policy about `cgroups` that rejects what `rules` say. */
export function policyText(cgroups: string | readonly string[], writing: Writing = {}): string {
  const selectors = (typeof cgroups === 'string' ? [cgroups] : cgroups).map((path) =>
    JSON.stringify(path),
  );
  return `version: 1
${writing.sets === undefined ? '' : `sets:\n  ${writing.sets}\n`}policies:
  - name: web
    cgroups: [${selectors.join(', ')}]
    log: ${writing.log ?? 'none'}
    egress:
      default: ${writing.default ?? 'allow'}
      rules: ${writing.rules ?? '[]'}
`;
}

export const reject = (...addresses: readonly string[]): string =>
  `[{action: reject, to: [${addresses.join(', ')}]}]`;

/** `EPERM` when the address is rejected, `ok` when it is not: nothing is sent to anybody. */
export async function probe(puppet: Puppet, address: string): Promise<string> {
  const socket = await puppet.socket('AF_INET', 'SOCK_DGRAM');
  try {
    return await socket.try('sendto', { bytes: 'x' }, [address, 9]);
  } finally {
    await socket.do('close');
  }
}
