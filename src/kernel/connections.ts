// The SSH connections over which somebody may be working on this host.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { formatAddress, parseAddress } from '../base/address.js';

/** One end of a TCP connection; an IPv4 address in IPv6 is IPv4. */
export interface Endpoint {
  readonly family: 4 | 6;
  readonly words: Uint32Array;
  readonly text: string;
  readonly port: number;
}

export interface Connection {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

interface Socket extends Connection {
  readonly state: 'established' | 'listening' | 'other';
  readonly inode: number;
}

/** What the processes of SSH servers are called: comm has at most 15 characters. */
const SERVERS = new Set(['sshd', 'sshd-session', 'sshd-auth', 'dropbear']);

/**
 * Established connections of this network namespace that an SSH server holds, or
 * that come in at a port on which one listens, and the one that `env` names.
 */
export function sshConnections(env: NodeJS.ProcessEnv, proc = '/proc'): Connection[] {
  const sockets = [...readSockets(proc, 'tcp', 4), ...readSockets(proc, 'tcp6', 6)];
  const held = serverSockets(proc);
  const ports = new Set(
    sockets
      .filter(({ state, inode }) => state === 'listening' && held.has(inode))
      .map(({ local }) => local.port),
  );
  const isOwn = isNamedBy(env['SSH_CONNECTION']);
  return sockets.filter(
    (socket) =>
      socket.state === 'established' &&
      (held.has(socket.inode) || ports.has(socket.local.port) || isOwn(socket)),
  );
}

/** `CLIENT PORT SERVER PORT`, as sshd sets it. */
function isNamedBy(variable: string | undefined): (socket: Connection) => boolean {
  const [client = '', clientPort, , serverPort] = (variable ?? '').split(' ');
  const parsed = parseAddress(client.replace(/%.*$/, ''));
  if (parsed.kind !== 'prefix') return () => false;
  const text = formatAddress(parsed.family, parsed.first);
  return ({ local, remote }) =>
    remote.text === text && remote.port === Number(clientPort) && local.port === Number(serverPort);
}

function readSockets(proc: string, table: 'tcp' | 'tcp6', family: 4 | 6): Socket[] {
  return parseSockets(readText(join(proc, 'net', table)), family);
}

const STATES: Readonly<Record<string, Socket['state']>> = {
  '01': 'established',
  '0A': 'listening',
};

/** The lines of /proc/net/tcp or tcp6. */
export function parseSockets(text: string, family: 4 | 6): Socket[] {
  return text.split('\n').flatMap((line): Socket[] => {
    const [, local = '', remote = '', state = '', , , , , , inode] = line.trim().split(/\s+/);
    if (!/^[0-9A-F]+:[0-9A-F]{4}$/.test(local)) return [];
    const ends = { local: endpointOf(local, family), remote: endpointOf(remote, family) };
    return [{ ...ends, state: STATES[state] ?? 'other', inode: Number(inode) }];
  });
}

/** Words of the address in the byte order of this machine, then the port. */
function endpointOf(text: string, family: 4 | 6): Endpoint {
  const [hex = '', port = ''] = text.split(':');
  const words = Uint32Array.from(hex.match(/.{8}/g) ?? [], (word) => networkWord(word));
  const isMapped = family === 6 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  const own = isMapped
    ? Uint32Array.of(words[3] ?? 0, 0, 0, 0)
    : Uint32Array.from({ length: 4 }, (_, i) => words[i] ?? 0);
  const kind = isMapped ? 4 : family;
  return {
    family: kind,
    words: own,
    text: formatAddress(kind, own),
    port: Number.parseInt(port, 16),
  };
}

function networkWord(hex: string): number {
  const native = Uint32Array.of(Number.parseInt(hex, 16));
  return new DataView(native.buffer).getUint32(0);
}

/** Inodes of the sockets that SSH servers have open. */
function serverSockets(proc: string): Set<number> {
  const inodes = new Set<number>();
  for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
    if (!SERVERS.has(readText(join(proc, pid, 'comm')).trim())) continue;
    for (const inode of socketsOf(join(proc, pid, 'fd'))) inodes.add(inode);
  }
  return inodes;
}

function socketsOf(folder: string): number[] {
  try {
    return readdirSync(folder).flatMap((fd) => {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(linkOf(join(folder, fd))) ?? [];
      return inode === undefined ? [] : [Number(inode)];
    });
  } catch (error) {
    return ignoreGone(error, []);
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    return ignoreGone(error, '');
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return ignoreGone(error, '');
  }
}

/** Processes end while we look. */
function ignoreGone<T>(error: unknown, instead: T): T {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ESRCH') return instead;
  throw error;
}
