// The axis of service points: what `ports` chooses among (bpf/abi.h).

export const POINT_TCP = 0;
export const POINT_UDP = 65536;
export const POINT_SCTP = 131072;
/** + ICMP type. */
export const POINT_ICMP = 196608;
/** + ICMPv6 type. */
export const POINT_ICMPV6 = 196864;
/** + protocol number: what has no ports, or ports that cannot be read. */
export const POINT_PROTO = 197120;
export const POINTS = 197376;
