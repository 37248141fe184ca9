// Network interfaces: which there are, when that changes, and programs on them.

import { addon, NATIVE } from './addon.js';
import { count, take } from './errors.js';
import { BpfLink } from './link.js';
import type { BpfProgram } from './program.js';
import type { NetInterface } from './types.js';

/** XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE. */
const XDP_FLAGS = { generic: 1 << 1, native: 1 << 2 } as const;

/**
 * Attaches a program to a network interface by bpf_link. Never beside another
 * program: EBUSY in the same mode, EEXIST in the other one.
 */
export function attachXdp(
  program: BpfProgram,
  ifindex: number,
  mode: keyof typeof XDP_FLAGS,
): BpfLink {
  const native = addon().attachXdp(program[NATIVE], ifindex, XDP_FLAGS[mode]);
  return new BpfLink(take('attach interface', `${String(ifindex)} (${mode})`, native));
}

/** The interfaces of this process's network namespace, in no order. */
export function listInterfaces(): NetInterface[] {
  return take('list', 'interfaces', addon().listInterfaces());
}

/**
 * Calls back when interfaces of this network namespace appear, change or go;
 * also for changes that we make ourselves. Keeps the process alive until closed.
 */
export function watchInterfaces(onChange: () => void): { close(): void } {
  const native = addon().newWatch();
  count('watch', 'interfaces', native.open(onChange));
  return { close: () => void native.close() };
}
