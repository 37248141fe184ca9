/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where a packet keeps what rules speak about, for the packets that have it in fixed
 * places: TCP and UDP over IPv4 without options or IPv6 without extension headers.
 * Nothing is copied, so that nothing has to be kept.
 */
#ifndef CGFW_PLACES_H
#define CGFW_PLACES_H

#include "packet.h"

/* Where the parts of a packet are that rules speak about; all within direct reach. */
struct places {
	const __be32 *remote;	/* address of the other end: one word, or four for IPv6 */
	const __be16 *ports;	/* source, destination */
	__u32 family;		/* 4 or 6 */
	__u8 protocol;		/* TCP or UDP */
};

static __always_inline __u32 remote_word(const struct places *places, int i)
{
	return i == 0 || places->family == 6 ? bpf_ntohl(places->remote[i]) : 0;
}

/* Service point of a port: 0 the source's, 1 the destination's. */
static __always_inline __u32 point_of(const struct places *places, int port)
{
	return (places->protocol == IPPROTO_TCP ? POINT_TCP : POINT_UDP) +
	       bpf_ntohs(places->ports[port]);
}

/* 1 when ports, and flags of TCP, are in reach, and the packet is not of a handshake. */
static __always_inline int finds_ports(struct places *places, const void *transport,
				       const void *end)
{
	places->ports = transport;
	if (transport + MIN_UDP > end)
		return 0;
	if (places->protocol == IPPROTO_UDP)
		return 1;
	return places->protocol == IPPROTO_TCP && transport + TCP_FLAGS + 1 <= end &&
	       !(((const __u8 *)transport)[TCP_FLAGS] & TCP_SYN);
}

static __always_inline int finds_places4(struct __sk_buff *skb, __u32 direction,
					 struct places *places)
{
	const struct iphdr *header = (void *)(long)skb->data;
	const void *end = (void *)(long)skb->data_end;

	if ((const void *)(header + 1) > end || *(const __u8 *)header != IPV4_PLAIN ||
	    header->frag_off & bpf_htons(IPV4_OFFSET_MASK))
		return 0;
	places->family = 4;
	places->protocol = header->protocol;
	places->remote = direction == EGRESS ? &header->daddr : &header->saddr;
	return finds_ports(places, header + 1, end);
}

static __always_inline int finds_places6(struct __sk_buff *skb, __u32 direction,
					 struct places *places)
{
	const struct ipv6hdr *header = (void *)(long)skb->data;
	const void *end = (void *)(long)skb->data_end;

	if ((const void *)(header + 1) > end || (*(const __u8 *)header & 0xf0) != IPV6_VERSION)
		return 0;
	places->family = 6;
	places->protocol = header->nexthdr;
	places->remote = direction == EGRESS ? header->daddr.in6_u.u6_addr32 :
					       header->saddr.in6_u.u6_addr32;
	return finds_ports(places, header + 1, end);
}

#endif
