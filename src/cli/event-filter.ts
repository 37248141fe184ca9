// The filters of `cgfw events`, checked before anything is followed.

import { formatAddress, parseAddress } from '../base/address.js';
import { CgfwError } from '../base/error.js';
import { nearest } from '../base/suggest.js';
import type { VerdictEvent } from '../report/verdict.js';
import { textOption } from './command.js';
import type { Options } from './command.js';

const VERDICTS = ['allow', 'drop', 'reject'];

/** Whether an event passes every filter. Throws `usage` for one that can never match. */
export function eventFilter(options: Options): (event: VerdictEvent) => boolean {
  const policy = textOption(options, 'policy');
  const verdict = verdictOption(textOption(options, 'verdict'));
  const address = addressOption(textOption(options, 'address'));
  const ifname = textOption(options, 'interface');
  const cgroup = textOption(options, 'cgroup')?.replace(/^\/+|\/+$/g, '');
  return (event) => {
    if (policy !== undefined && event.policy !== policy) return false;
    if (ifname !== undefined && (event.hook !== 'xdp' || event.ifname !== ifname)) return false;
    if (verdict !== undefined && event.verdict !== verdict) return false;
    if (address !== undefined && event.src !== address && event.dst !== address) return false;
    if (cgroup === undefined) return true;
    return event.cgroup === cgroup || event.cgroup?.startsWith(`${cgroup}/`) === true;
  };
}

/** How many events are shown; Infinity without --count. */
export function eventLimit(options: Options): number {
  const text = textOption(options, 'count');
  if (text === undefined) return Infinity;
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new CgfwError(`--count: ${text} is not a number of events`, {
    code: 'usage',
    fix: 'use a whole number from 1, such as --count 10',
  });
}

function verdictOption(text: string | undefined): string | undefined {
  if (text === undefined || VERDICTS.includes(text)) return text;
  const meant = nearest(text, VERDICTS);
  throw new CgfwError(`--verdict: ${text} is not a verdict`, {
    code: 'usage',
    fix: `${meant === undefined ? '' : `did you mean ${meant}? `}use allow, drop or reject`,
  });
}

/** In the form in which events show addresses. */
function addressOption(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const parsed = parseAddress(text);
  if (parsed.kind === 'prefix') return formatAddress(parsed.family, parsed.first);
  throw new CgfwError(`--address: ${text} ${parsed.reason}`, {
    code: 'usage',
    fix: 'use one address, such as --address 192.0.2.7',
  });
}
