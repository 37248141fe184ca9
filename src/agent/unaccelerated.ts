// A policy that asks for acceleration where the kernel has none is enforced without, and says so.

import type { State } from '../compile/state.js';

export const UNACCELERATED =
  'accelerate: this kernel cannot do it (Linux 5.19 or newer, /sys/kernel/btf/vmlinux and CAP_PERFMON); connections go by TCP';

/** Whether a policy in force asks for acceleration that its programs cannot give. */
export function isUnaccelerated({ program, programs }: State): boolean {
  const isWanted = program?.names.policies.some(({ accelerate }) => accelerate) ?? false;
  return isWanted && programs?.capacity.acceleration === 0;
}
