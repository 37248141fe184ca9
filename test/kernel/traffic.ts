// Policies as objects, and one way to ask for TCP, UDP and ping in every address family.

import type { Sandbox } from './sandbox.js';
import { Netns } from './netns.js';
import type { Puppet, PuppetSocket } from './puppet.js';

/** A policy file; JSON is YAML too. */
export function policyText(policies: readonly object[], more: object = {}): string {
  return JSON.stringify({ version: 1, ...more, policies }, null, 1);
}

/** How a test reaches an address: the socket's family, and the address as that socket writes it. */
export interface Way {
  readonly name: string;
  readonly family: 'AF_INET' | 'AF_INET6';
  /** Addresses of this host; `blocked` is what the test's rules are about. */
  readonly blocked: string;
  readonly open: string;
}

/** As rules write them. No byte palindromes: a swapped byte order must show. */
export const BLOCKED = ['127.1.2.3', '2001:db8::102:3'];
export const OPEN = ['127.1.2.4', '2001:db8::102:4'];

export const IPV4: Way = {
  name: 'IPv4',
  family: 'AF_INET',
  blocked: '127.1.2.3',
  open: '127.1.2.4',
};
export const IPV6: Way = {
  name: 'IPv6',
  family: 'AF_INET6',
  blocked: '2001:db8::102:3',
  open: '2001:db8::102:4',
};
export const MAPPED: Way = {
  name: 'v4-mapped IPv6',
  family: 'AF_INET6',
  blocked: '::ffff:127.1.2.3',
  open: '::ffff:127.1.2.4',
};
export const WAYS = [IPV4, IPV6, MAPPED];

/** A managed cgroup and an unmanaged one in a network namespace of their own. */
export interface Scene {
  readonly box: Sandbox;
  readonly netns: Netns;
  /** The managed cgroup, as selectors name it. */
  readonly cgroup: string;
  readonly inside: Puppet;
  /** No policy is about this one. */
  readonly outside: Puppet;
  /** Applies one policy for the managed cgroup. */
  readonly apply: (policy: object, more?: object) => Promise<void>;
  readonly close: () => Promise<void>;
}

export function makeScene(box: Sandbox): Scene {
  const netns = new Netns();
  netns.addresses(['2001:db8::102:3/128', '2001:db8::102:4/128']);
  const cgroup = box.cgroup('web');
  return {
    box,
    netns,
    cgroup,
    inside: box.puppet(cgroup, netns.name),
    outside: box.puppet(box.cgroup('outside'), netns.name),
    apply: (policy, more = {}) =>
      box.apply(policyText([{ name: 'web', cgroups: [cgroup], ...policy }], more)),
    close: async () => {
      await box.close();
      netns.close();
    },
  };
}

/** Listens on all addresses of both families. */
export async function listen(
  puppet: Puppet,
  port = 0,
): Promise<{ server: PuppetSocket; port: number }> {
  const server = await puppet.socket('AF_INET6');
  await server.do('setsockopt', 'SOL_SOCKET', 'SO_REUSEADDR', 1);
  await server.do('bind', ['::', port]);
  await server.do('listen', 50);
  return { server, port: await server.port() };
}

/** Receives datagrams on all addresses of both families. */
export async function receive(
  puppet: Puppet,
  port = 0,
): Promise<{ server: PuppetSocket; port: number }> {
  const server = await puppet.socket('AF_INET6', 'SOCK_DGRAM');
  await server.do('bind', ['::', port]);
  return { server, port: await server.port() };
}

/** Result of a connect(): `ok` or the error's name. The socket is closed again. */
export async function tryConnect(
  puppet: Puppet,
  way: Way,
  address: string,
  port: number,
): Promise<string> {
  const socket = await puppet.socket(way.family);
  try {
    return await socket.try('connect', [address, port]);
  } finally {
    await socket.do('close');
  }
}

/** Begins a connection that is expected to hang; see stillHangs. */
export async function beginConnect(
  puppet: Puppet,
  way: Way,
  address: string,
  port: number,
): Promise<PuppetSocket> {
  const socket = await puppet.socket(way.family);
  await socket.do('setblocking', 0);
  const result = await socket.try('connect', [address, port]);
  if (result !== 'EINPROGRESS') throw new Error(`connect: ${result}`);
  return socket;
}

/** Whether nothing has happened to these connections within a second: neither success nor error. */
export async function stillHang(sockets: readonly PuppetSocket[]): Promise<boolean> {
  const end = performance.now() + 1000;
  for (const socket of sockets) {
    if (await socket.do('writable', Math.max(0, (end - performance.now()) / 1000))) return false;
  }
  return true;
}

/** An ICMP or ICMPv6 echo request as a ping socket takes it: the kernel fills in id and checksum. */
export function echoRequest(way: Way, sequence: number): { bytes: string } {
  const type = way.family === 'AF_INET' ? 8 : 128;
  return { bytes: String.fromCharCode(type, 0, 0, 0, 0, 0, sequence >> 8, sequence & 0xff) };
}

export function pingSocket(puppet: Puppet, way: Way): Promise<PuppetSocket> {
  return puppet.socket(
    way.family,
    'SOCK_DGRAM',
    way.family === 'AF_INET' ? 'IPPROTO_ICMP' : 'IPPROTO_ICMPV6',
  );
}

/** Sequence number of the next echo reply. */
export async function echoReply(socket: PuppetSocket): Promise<number> {
  const reply = (await socket.do('recv', 64)) as string;
  return reply.charCodeAt(6) * 256 + reply.charCodeAt(7);
}
