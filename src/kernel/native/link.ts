// Attachments to cgroups.

import { ATTACH_TYPES } from './types.js';
import type { AttachType, CgroupPrograms, LinkInfo, ListedLink } from './types.js';
import { addon, NATIVE } from './addon.js';
import type { LinkColumns, NativeLink } from './addon.js';
import { count, ERRNO, take } from './errors.js';
import type { BpfMap } from './map.js';
import type { BpfProgram } from './program.js';

const ATTACH_NAMES = new Map<number, AttachType>(
  Object.entries(ATTACH_TYPES).map(([name, number]) => [number, name as AttachType]),
);

const attachName = (type: number): AttachType | number => ATTACH_NAMES.get(type) ?? type;

// enum bpf_link_type: newer kernels have types that the system's libbpf cannot name.
const LINK_TYPES = [
  'unspec',
  'raw_tracepoint',
  'tracing',
  'cgroup',
  'iter',
  'netns',
  'xdp',
  'perf_event',
  'kprobe_multi',
  'struct_ops',
  'netfilter',
  'tcx',
  'uprobe_multi',
  'netkit',
  'sockmap',
];

const LINK_WORDS = 6;

function linkAt({ words, cgroups }: LinkColumns, i: number): LinkInfo {
  const word = (field: number): number => words[i * LINK_WORDS + field] ?? 0;
  return {
    id: word(1),
    type: LINK_TYPES[word(2)] ?? `type ${String(word(2))}`,
    progId: word(3),
    cgroupId: cgroups[i] ?? 0n,
    attachType: attachName(word(4)),
    ifindex: word(5),
  };
}

/** An attachment. Unpinned, it ends when the last descriptor closes. */
export class BpfLink {
  readonly #native: NativeLink;

  constructor(native: NativeLink) {
    this.#native = native;
  }

  /** Read anew each time: the program changes by update, the cgroup may vanish. */
  get info(): LinkInfo {
    return linkAt(take('describe link', '', this.#native.info()), 0);
  }

  pin(path: string): void {
    count('pin link', path, this.#native.pin(path));
  }

  /**
   * Replaces the program, atomically. With `expected` only if that one runs
   * (else EPERM). The kernel compares program types only: an ingress program
   * on an egress link is not refused.
   */
  update(program: BpfProgram, options: { readonly expected?: BpfProgram } = {}): void {
    const expected = options.expected?.[NATIVE] ?? null;
    count('replace program', program.info.name, this.#native.update(program[NATIVE], expected));
  }

  /** Ends the attachment even while it is pinned. */
  detach(): void {
    count('detach link', '', this.#native.detach());
  }

  close(): void {
    this.#native.close();
  }
}

/** Throws ENOENT (see isErrno) when nothing is pinned there. */
export function openPinnedLink(path: string): BpfLink {
  return new BpfLink(take('open pinned link', path, addon().openPinnedLink(path)));
}

/**
 * Attaches a program to a cgroup by bpf_link, beside whatever else is there.
 * The attachment lives as long as the link or its pin.
 */
export function attachCgroup(
  program: BpfProgram,
  cgroupPath: string,
  attachType: AttachType,
): BpfLink {
  const native = addon().attachCgroup(program[NATIVE], cgroupPath, ATTACH_TYPES[attachType]);
  return new BpfLink(take('attach', `${attachType} to ${cgroupPath}`, native));
}

/**
 * Makes a program judge the messages of all sockets that come into a sockmap from now
 * on, in place of the one before. Sockets that are in it keep theirs. It holds as long
 * as the map has a descriptor or a pin.
 */
export function attachMessages(program: BpfProgram, map: BpfMap): void {
  count('attach', `to map ${map.info.name}`, addon().attachMessages(program[NATIVE], map[NATIVE]));
}

/** All files of a bpffs directory as links, in no order. Directories are left out. */
export function listLinks(directory: string): ListedLink[] {
  const columns = take('list', directory, addon().listLinks(directory));
  return columns.names.map((name, i) => {
    const error = -(columns.words[i * LINK_WORDS] ?? 0);
    if (error !== 0) return { name, error };
    const { id: linkId, ...link } = linkAt(columns, i);
    return { name, linkId, ...link };
  });
}

const QUERY_EFFECTIVE = 1;

/** The programs attached to a cgroup itself (direct) or running for it (effective). */
export function queryCgroup(
  cgroupPath: string,
  attachType: AttachType,
  scope: 'direct' | 'effective',
): CgroupPrograms {
  const flags = scope === 'effective' ? QUERY_EFFECTIVE : 0;
  for (let capacity = 64; ; capacity *= 4) {
    const answer = addon().queryCgroup(cgroupPath, ATTACH_TYPES[attachType], flags, capacity);
    if (answer === -ERRNO.ENOSPC && capacity < 1 << 18) continue;
    const { attachFlags, ids, flags: each } = take('query cgroup', cgroupPath, answer);
    const programs = ids.map((id, i) => {
      const own = each[i];
      return own === undefined ? { id } : { id, attachFlags: own };
    });
    return { attachFlags, programs };
  }
}

/** null: no such link (any more). */
export function linkInfo(id: number): LinkInfo | null {
  const info = addon().linkInfo(id);
  return info === -ERRNO.ENOENT ? null : linkAt(take('describe link', String(id), info), 0);
}

/** Every link of the machine, ours and others', by ascending id. */
export function allLinks(): LinkInfo[] {
  const links: LinkInfo[] = [];
  for (let id = 0; ;) {
    const next = addon().nextLinkId(id);
    if (next === -ERRNO.ENOENT) return links;
    id = count('list links', '', next);
    const info = linkInfo(id);
    if (info !== null) links.push(info);
  }
}
