// Hangs our program on an interface, moves it to another one, and takes it off.

import { join } from 'node:path';
import { existsSync, unlinkSync } from 'node:fs';
import { CgfwError } from '../base/error.js';
import type { XdpMode } from '../compile/state.js';
import type { InterfaceAction } from '../plan/action.js';
import { eraseInterface, writeInterfaceOwner, writeRefusal } from './interface-table.js';
import { claimNamespace, foreignProgram, readInterfaceLinks } from './interfaces.js';
import { attachXdp, errnoName, isErrno, listInterfaces, openPinnedLink } from './native.js';
import type { BpfLink, NetInterface } from './native.js';
import { interfaceLinkName } from './pins.js';
import type { Place } from './place.js';
import type { LoadedSet } from './set.js';

/** Kinds whose native mode runs the program on their ports, where our table knows nothing of it. */
const COMPOSED = new Set(['bond', 'team']);
const EOPNOTSUPP = 95;

type Attach = Extract<InterfaceAction, { op: 'attach' }>;

const pinOf = (place: Place, ifindex: number): string =>
  join(place.pinRoot, 'links', interfaceLinkName(ifindex));

/** Runs one action about an interface. */
export function runInterfaceAction(place: Place, set: LoadedSet, action: InterfaceAction): void {
  const { ifindex } = action;
  switch (action.op) {
    case 'attach':
      attach(place, set, action);
      return;
    case 'update':
      update(place, set, ifindex);
      return;
    case 'assign':
      writeInterfaceOwner(
        set.maps.interfaces,
        ifindex,
        (set.generation + (action.slot === 'idle' ? 1 : 0)) & 1,
        action.index,
      );
      return;
    case 'detach':
      takeOff(pinOf(place, ifindex));
      eraseInterface(set.maps.interfaces, ifindex);
      return;
  }
}

function attach(place: Place, set: LoadedSet, action: Attach): void {
  const device = listInterfaces().find(({ ifindex }) => ifindex === action.ifindex);
  if (device === undefined || action.target !== `interface ${device.name}`) {
    throw new CgfwError(`${action.target} is gone, or has another name now`, {
      code: 'no-interface',
      fix: 'nothing: the next reconcile looks again',
    });
  }
  const there = readInterfaceLinks(place, [device]).find(
    ({ ifindex }) => ifindex === action.ifindex,
  );
  const mode = there?.mode ?? null;
  // Of a set that is forgotten: moving it leaves no moment without a program.
  if (mode !== null && (action.attach === 'auto' || action.attach === mode))
    return update(place, set, action.ifindex);
  takeOff(pinOf(place, action.ifindex));
  try {
    const { link, refusal } = attachAs(set, device, action.attach);
    keep(place, action.ifindex, link);
    writeRefusal(set.maps.interfaces, action.ifindex, refusal);
    claimNamespace(set);
  } catch (error) {
    // The kernel cannot change a mode in one step: what was there comes back.
    if (action.replaces !== null)
      keep(
        place,
        action.ifindex,
        attachXdp(set.program('cgfw_xdp'), action.ifindex, action.replaces),
      );
    throw error;
  }
}

function keep(place: Place, ifindex: number, link: BpfLink): void {
  try {
    link.pin(pinOf(place, ifindex));
  } finally {
    link.close();
  }
}

/** Native where that is asked for or possible; `refusal` says why it was not. */
function attachAs(
  set: LoadedSet,
  device: NetInterface,
  asked: Attach['attach'],
): { link: BpfLink; refusal: number } {
  const program = set.program('cgfw_xdp');
  const tryMode = (mode: XdpMode): BpfLink => {
    if (mode === 'native' && COMPOSED.has(device.kind)) {
      throw new CgfwError('native mode would decide on the ports', {
        code: 'unsupported',
        fix: '',
        errno: EOPNOTSUPP,
      });
    }
    return attachXdp(program, device.ifindex, mode);
  };
  const inMode = (mode: XdpMode): BpfLink => {
    try {
      return tryMode(mode);
    } catch (error) {
      throw explained(error, device, mode);
    }
  };
  if (asked !== 'auto') return { link: inMode(asked), refusal: 0 };
  try {
    return { link: tryMode('native'), refusal: 0 };
  } catch (error) {
    if (!(error instanceof CgfwError) || error.errno === undefined || isHeld(error))
      throw explained(error, device, 'native');
    return { link: inMode('generic'), refusal: error.errno };
  }
}

const isHeld = (error: unknown): boolean => isErrno(error, 'EBUSY') || isErrno(error, 'EEXIST');

/** The kernel's refusal in the words of the policy file. */
function explained(error: unknown, device: NetInterface, mode: XdpMode): unknown {
  if (!(error instanceof CgfwError) || error.errno === undefined) return error;
  const { errno } = error;
  if (errnoName(errno) === 'ENODEV') {
    return new CgfwError(`interface ${device.name} is gone`, {
      code: 'no-interface',
      fix: 'nothing: the next reconcile looks again',
      errno,
      cause: error,
    });
  }
  if (isHeld(error)) {
    const fresh = listInterfaces().find(({ ifindex }) => ifindex === device.ifindex) ?? device;
    const holder = foreignProgram(fresh, new Set()) ?? 'another program';
    return new CgfwError(`interface ${device.name} is held by ${holder}`, {
      code: 'foreign-program',
      fix: `it is not ours to remove: detach it (ip link set dev ${device.name} xdp off, xdp-loader unload, or end its owner), or leave the interface out of the policy`,
      errno,
      cause: error,
    });
  }
  const { why, fix } = whyRefused(errno, device);
  return new CgfwError(`interface ${device.name} takes no program in ${mode} mode: ${why}`, {
    code: 'interface-mode',
    fix: mode === 'native' ? fix : 'see the kernel log (dmesg) for what the driver says',
    errno,
    cause: error,
  });
}

/** Why a driver refuses native mode, and what to change. */
export function whyRefused(
  errno: number,
  { kind, mtu }: Pick<NetInterface, 'kind' | 'mtu'>,
): { why: string; fix: string } {
  const orGeneric = 'write attach: auto or attach: generic';
  if (COMPOSED.has(kind))
    return { why: `a ${kind} would run it on its ports`, fix: `${orGeneric}, or name the ports` };
  switch (errnoName(errno)) {
    case 'EOPNOTSUPP':
      return { why: 'its driver has no native XDP', fix: orGeneric };
    case 'ERANGE':
    case 'EINVAL':
    case 'E2BIG':
      return {
        why: `its driver does not accept that (${errnoName(errno)}), most often for its MTU of ${String(mtu)} or that of its peer`,
        fix: `lower the MTU (ip link set dev ... mtu 1500, also of a veth peer), or ${orGeneric}`,
      };
    case 'ENOMEM':
    case 'ENOSPC':
      return {
        why: `its driver lacks queues or memory for it (${errnoName(errno)})`,
        fix: `use fewer queues (ethtool -L ... combined N), or ${orGeneric}`,
      };
    default:
      return { why: errnoName(errno), fix: orGeneric };
  }
}

function update(place: Place, set: LoadedSet, ifindex: number): void {
  const link = openPinnedLink(pinOf(place, ifindex));
  try {
    link.update(set.program('cgfw_xdp'));
  } catch (error) {
    // The interface went away meanwhile; its pin is swept by the next reconcile.
    if (!isErrno(error, 'ENOLINK')) throw error;
  } finally {
    link.close();
  }
}

/** At once: a link whose pin is gone would hold the interface for a moment longer. */
export function takeOff(pin: string): void {
  if (!existsSync(pin)) return;
  try {
    const link = openPinnedLink(pin);
    try {
      link.detach();
    } finally {
      link.close();
    }
  } catch (error) {
    // Not a link, or one whose interface is gone: only the pin is left.
    if (!(error instanceof CgfwError)) throw error;
  }
  unlinkSync(pin);
}
