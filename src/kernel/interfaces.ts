// The network interfaces that exist, our links on them, and programs of others.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { control } from '../abi/layout.gen.js';
import { CgfwError } from '../base/error.js';
import type { Program } from '../compile/program.js';
import { compareInterfaces } from '../compile/state.js';
import type { Interface, InterfaceAttachment, XdpMode } from '../compile/state.js';
import { readInterfaceOwner } from './interface-table.js';
import { isErrno, openPinnedLink, programInfo } from './native.js';
import type { LinkInfo, NetInterface } from './native.js';
import { entriesOf, parseInterfaceLinkName } from './pins.js';
import type { Place } from './place.js';
import { openCurrentSet } from './set.js';
import type { LoadedSet } from './set.js';

/** One pin of ours for an interface. */
export interface InterfaceLink {
  readonly pin: string;
  readonly ifindex: number;
  readonly programId: number;
  /** null: the interface is gone, or has left this network namespace. */
  readonly mode: XdpMode | null;
  /** It runs somewhere, here or in another network namespace. */
  readonly isAlive: boolean;
}

/** Every pin of ours that is named as an interface's link. */
export function readInterfaceLinks(
  place: Place,
  devices: readonly NetInterface[],
): InterfaceLink[] {
  return entriesOf(join(place.pinRoot, 'links')).flatMap((name): InterfaceLink[] => {
    const ifindex = parseInterfaceLinkName(name);
    if (ifindex === null) return [];
    const info = linkInfoAt(join(place.pinRoot, 'links', name));
    const mode = info?.ifindex === ifindex ? modeOn(devices, info) : null;
    return [
      {
        pin: `links/${name}`,
        ifindex,
        programId: info?.progId ?? 0,
        mode,
        isAlive: (info?.ifindex ?? 0) > 0,
      },
    ];
  });
}

/** Inode of the network namespace of this thread. */
function ownNamespace(): bigint {
  return statSync('/proc/thread-self/ns/net', { bigint: true }).ino;
}

/** Notes whose interfaces ours are. */
export function claimNamespace(set: LoadedSet): void {
  set.maps.control.storeWord(control.netns, ownNamespace());
}

/**
 * Throws `other-namespace` when our links run on interfaces of another network
 * namespace: seen from here they look dead, and would be swept.
 */
export function checkNamespace(place: Place, links: readonly InterfaceLink[]): void {
  if (!links.some(({ isAlive, mode }) => isAlive && mode === null)) return;
  const set = openCurrentSet(place.pinRoot);
  if (set === null) return;
  const claimed = set.maps.control.loadWord(control.netns);
  set.close();
  if (claimed === 0n || claimed === ownNamespace()) return;
  throw new CgfwError(
    'the interfaces of the loaded policy are those of another network namespace',
    {
      code: 'other-namespace',
      fix: 'run cgfw where it was run before (nsenter --net=...), or give this namespace pins of its own (CGFW_PINS, CGFW_RUN)',
    },
  );
}

function linkInfoAt(pin: string): LinkInfo | null {
  try {
    const link = openPinnedLink(pin);
    try {
      return link.info;
    } finally {
      link.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'EMEDIUMTYPE')) return null;
    throw error;
  }
}

/**
 * How the link runs on an interface of this network namespace. A link follows its
 * interface into another namespace, where the number may be somebody else's here:
 * only the interface itself says which program it runs.
 */
function modeOn(devices: readonly NetInterface[], { ifindex, progId }: LinkInfo): XdpMode | null {
  const device = devices.find((candidate) => candidate.ifindex === ifindex);
  if (device === undefined || progId === 0) return null;
  if (device.native === progId) return 'native';
  return device.generic === progId ? 'generic' : null;
}

/** The attachments that our links are; sorted. */
export function interfaceAttachments(
  set: LoadedSet,
  program: Program | null,
  links: readonly InterfaceLink[],
  devices: readonly NetInterface[],
): InterfaceAttachment[] {
  const current = currentProgram(set);
  const names = new Map(devices.map(({ ifindex, name }) => [ifindex, name]));
  const { generation } = set;
  return links
    .flatMap(({ ifindex, mode, programId }): InterfaceAttachment[] => {
      const name = names.get(ifindex);
      if (mode === null || name === undefined) return [];
      const policy =
        generation === 0 ? 0 : readInterfaceOwner(set.maps.interfaces, ifindex, generation & 1);
      const asked = program?.names.interfaces[policy - 1 - program.names.policies.length];
      const attach = asked?.attach ?? 'auto';
      return [
        { ifindex, name, policy, attach, mode, isOutdated: programId !== current, heldBy: null },
      ];
    })
    .sort(compareInterfaces);
}

/** null: its pin is gone. */
function currentProgram(set: LoadedSet): number | null {
  try {
    return set.program('cgfw_xdp').info.id;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** The interfaces of this network namespace, each with the program of somebody else that holds it. */
export function surroundingInterfaces(
  devices: readonly NetInterface[],
  links: readonly InterfaceLink[],
): Interface[] {
  const ours = new Set(links.map(({ programId }) => programId));
  return devices.map((device) => ({
    ifindex: device.ifindex,
    name: device.name,
    heldBy: foreignProgram(device, ours),
  }));
}

/** `program 12 (xdp_drop, tag 3b18..., native)`; null: none, or one of ours. */
export function foreignProgram(device: NetInterface, ours: ReadonlySet<number>): string | null {
  for (const mode of ['native', 'generic', 'offloaded'] as const) {
    const id = device[mode];
    if (id === 0 || ours.has(id)) continue;
    const info = programInfo(id);
    const name = info?.name ?? '';
    const whose = name === 'xdp_dispatcher' ? ' of libxdp' : '';
    return `program ${String(id)} (${name === '' ? 'without a name' : name}${whose}, tag ${info?.tag ?? '?'}, ${mode})`;
  }
  return null;
}
