// Packets for test runs, from the Ethernet header on.

const ETHERNET = 14;
const PAYLOAD = 64;

export interface PacketOf {
  readonly family: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  /** The remote address in words, host order: one or four. */
  readonly remote: readonly number[];
  readonly direction: 'egress' | 'ingress';
  /** The destination port; the source port is 40000. */
  readonly port: number;
}

/** An ordinary data packet: UDP, or TCP with ACK. Checksums are not filled in: nobody looks. */
export function packetOf({ family, protocol, remote, direction, port }: PacketOf): Uint8Array {
  const header = family === 4 ? 20 : 40;
  const transport = ETHERNET + header;
  const bytes = new Uint8Array(transport + 20 + PAYLOAD);
  const view = new DataView(bytes.buffer);
  const number = protocol === 'tcp' ? 6 : 17;
  const local = family === 4 ? [0x0a000001] : [0xfd000000, 0, 0, 1];
  const [source, destination] = direction === 'egress' ? [local, remote] : [remote, local];
  view.setUint16(12, family === 4 ? 0x0800 : 0x86dd);
  if (family === 4) {
    view.setUint8(ETHERNET, 0x45);
    view.setUint16(ETHERNET + 2, bytes.length - ETHERNET);
    view.setUint8(ETHERNET + 8, 64);
    view.setUint8(ETHERNET + 9, number);
  } else {
    view.setUint8(ETHERNET, 0x60);
    view.setUint16(ETHERNET + 4, 20 + PAYLOAD);
    view.setUint8(ETHERNET + 6, number);
    view.setUint8(ETHERNET + 7, 64);
  }
  const at = ETHERNET + (family === 4 ? 12 : 8);
  [...source, ...destination].forEach((word, i) => view.setUint32(at + 4 * i, word));
  view.setUint16(transport, 40000);
  view.setUint16(transport + 2, port);
  if (protocol === 'tcp') {
    view.setUint8(transport + 12, 0x50);
    view.setUint8(transport + 13, 0x10);
  } else {
    view.setUint16(transport + 4, 8 + PAYLOAD);
  }
  return bytes;
}
