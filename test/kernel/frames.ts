// Ethernet frames by hand.

/** ETH_P_*. */
export const ETHER = {
  ipv4: 0x0800,
  ipv6: 0x86dd,
  arp: 0x0806,
  vlan: 0x8100,
  provider: 0x88a8,
  lldp: 0x88cc,
} as const;

const pair = (word: number): number[] => [word >> 8, word & 0xff];

/** A frame to everybody; `tags` are VLAN identifiers from the outermost on, 802.1ad outside of 802.1Q. */
export function frame(
  type: number,
  payload: readonly number[],
  tags: readonly number[] = [],
): number[] {
  const addresses = [...Array<number>(6).fill(0xff), 0x02, 0, 0, 0, 0, 0x02];
  const marks = tags.flatMap((tag, i) => [
    ...pair(tags.length > 1 && i === 0 ? ETHER.provider : ETHER.vlan),
    ...pair(tag),
  ]);
  return [...addresses, ...marks, ...pair(type), ...payload];
}
