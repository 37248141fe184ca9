// Names of our pins on bpffs. bpffs refuses dots in names.
//
//   PINROOT/shared/MAP              maps that live as long as anything is loaded
//   PINROOT/set-N-BUILD/MAP, PROG   a set of programs and the tables they read
//   PINROOT/tmp-N-BUILD/            a set being built; renamed when complete
//   PINROOT/links/ID-HOOK           one link for each hook of each cgroup
//   PINROOT/links/if-IFINDEX        one link for each interface

import { existsSync, readdirSync, rmSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CgfwError } from '../base/error.js';
import { HOOKS } from '../compile/state.js';
import type { Hook } from '../compile/state.js';
import { openPinnedLink, openPinnedMap } from './native.js';

export interface SetName {
  readonly folder: string;
  readonly number: number;
  readonly build: string;
}

/** Complete sets, oldest first; the last one is current. */
export function listSets(pinRoot: string): SetName[] {
  return entriesOf(pinRoot)
    .flatMap((folder) => {
      const match = /^set-(\d+)-([0-9a-f]+)$/.exec(folder);
      if (match === null) return [];
      return [{ folder, number: Number(match[1]), build: match[2] ?? '' }];
    })
    .sort((a, b) => a.number - b.number);
}

/** Sets whose making was cut short. */
export function listUnfinished(pinRoot: string): string[] {
  return entriesOf(pinRoot).filter((folder) => folder.startsWith('tmp-'));
}

export function linkName(id: number, hook: Hook): string {
  return `${String(id)}-${hook}`;
}

/** Where a link goes that another takes the place of; no name of a link in force. */
export function replacedLinkName(id: number, hook: Hook): string {
  return `old-${linkName(id, hook)}`;
}

export function parseLinkName(name: string): { readonly id: number; readonly hook: Hook } | null {
  const match = /^(\d+)-(\w+)$/.exec(name);
  const hook = HOOKS.find((known) => known === match?.[2]);
  return hook === undefined ? null : { id: Number(match?.[1]), hook };
}

export function interfaceLinkName(ifindex: number): string {
  return `if-${String(ifindex)}`;
}

/** The ifindex in the name of an interface's link, or null. */
export function parseInterfaceLinkName(name: string): number | null {
  const match = /^if-([1-9]\d*)$/.exec(name);
  return match === null ? null : Number(match[1]);
}

export function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Removes a pin or a folder of pins below `pinRoot`; absent is fine. */
export function removePin(pinRoot: string, name: string): void {
  rmSync(join(pinRoot, name), { recursive: true, force: true });
}

/**
 * Takes everything of ours out of the kernel, links first: they are what
 * filters. Returns how many were attached.
 */
export function removeEverything(pinRoot: string): number {
  const folder = join(pinRoot, 'links');
  const links = entriesOf(folder).map((name) => join(folder, name));
  for (const link of links) detach(link);
  endGeneration(pinRoot);
  removeAllPins(pinRoot);
  return links.length;
}

/**
 * Programs that accelerate live on with the sockets that they were given to, which
 * would lose bytes without them: with no generation in force they leave all to TCP.
 */
function endGeneration(pinRoot: string): void {
  const pin = join(pinRoot, 'shared', 'control');
  if (!existsSync(pin)) return;
  const control = openPinnedMap(pin);
  try {
    control.storeWord(0, 0n);
  } finally {
    control.close();
  }
}

/** At once; a link whose pin is removed goes on for some milliseconds. */
function detach(pin: string): void {
  try {
    const link = openPinnedLink(pin);
    try {
      link.detach();
    } finally {
      link.close();
    }
  } catch (error) {
    // Detached already, or no link: the pin goes all the same.
    if (!(error instanceof CgfwError)) throw error;
  }
}

/** Removes every pin of ours, then the folder itself. */
export function removeAllPins(pinRoot: string): void {
  const remove = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) remove(path);
      else unlinkSync(path);
    }
    rmdirSync(folder);
  };
  if (existsSync(pinRoot)) remove(pinRoot);
}
