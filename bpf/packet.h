/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Parses a packet once, from its IP header on, into what rules speak about.
 * Where the bytes are is said by a source file: source_xdp.h for an includer that
 * defines CGFW_FRAMES first, else source_skb.h.
 */
#ifndef CGFW_PACKET_H
#define CGFW_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include "abi.h"

/* From <sys/socket.h>, which a BPF target cannot include. */
#define AF_INET		2
#define SOCK_STREAM	1
#define SOCK_RAW	3

/* IPv6 extension headers walked before a packet counts as unreadable. */
#define MAX_EXTENSIONS 8
#define MAX_HEADERS 1024

/* IPv4 options, and how many are walked before a packet counts as unreadable. */
#define OPTION_END 0
#define OPTION_PAD 1
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137
#define MAX_OPTIONS 10

#define IPV4_OFFSET_MASK 0x1fff
#define IPV6_OFFSET_MASK 0xfff8

/* Version 4 and five words: a header without options. */
#define IPV4_PLAIN 0x45
#define IPV6_VERSION 0x60
#define MIN_UDP 8
#define TCP_FLAGS 13

#define TCP_SYN 0x02
#define TCP_ACK 0x10

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129

/* Whether a packet can belong to a conversation, and as what. */
enum exchange {
	EXCHANGE_NONE = 0,
	EXCHANGE_TCP,
	EXCHANGE_UDP,
	EXCHANGE_ECHO_REQUEST,
	EXCHANGE_ECHO_REPLY,
};

struct packet {
	__u32 source[4];
	__u32 destination[4];
	__u32 family;		/* 4 or 6 */
	__u32 length;		/* from the IP header on */
	__u32 point;		/* service point of the destination port */
	__u32 reply_point;	/* point by which the other direction judges a reply */
	__u16 source_port;
	__u16 destination_port;	/* ICMP: type */
	__u16 echo_id;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 exchange;		/* enum exchange */
	__u8 base;		/* bytes before the IP header, where there are any */
	__be16 ether_type;	/* of the frame, where the source does not say it */
};

#ifdef CGFW_FRAMES
#include "source_xdp.h"
#else
#include "source_skb.h"
#endif

/* Copies bytes from an offset behind the IP header's start; 0, or negative when there are fewer. */
static __always_inline int packet_bytes(packet_source *source, const struct packet *packet,
					__u32 offset, void *to, __u32 size)
{
	void *data = (void *)(long)source->data + base_of(packet);
	void *end = (void *)(long)source->data_end;

	if (offset > MAX_HEADERS)
		return -1;
	if (data + offset + size <= end) {
		__builtin_memcpy(to, data + offset, size);
		return 0;
	}
	/* The header may lie in a fragment of the buffer, out of direct reach. */
	return load_bytes(source, base_of(packet) + offset, to, size);
}

static __always_inline int parse_ports(packet_source *source, struct packet *packet, __u32 offset,
				       __u32 base)
{
	__be16 ports[2];

	if (packet_bytes(source, packet, offset, ports, sizeof(ports)))
		return -1;
	packet->source_port = bpf_ntohs(ports[0]);
	packet->destination_port = bpf_ntohs(ports[1]);
	packet->point = base + packet->destination_port;
	packet->reply_point = base + packet->source_port;
	return 0;
}

static __always_inline int parse_icmp(packet_source *source, struct packet *packet, __u32 offset,
				      __u32 base, __u8 request, __u8 reply)
{
	__u8 header[8];

	if (packet_bytes(source, packet, offset, header, sizeof(header)))
		return -1;
	packet->destination_port = header[0];
	packet->echo_id = header[4] << 8 | header[5];
	packet->point = base + header[0];
	packet->reply_point = base + request;
	if (header[0] == request)
		packet->exchange = EXCHANGE_ECHO_REQUEST;
	else if (header[0] == reply)
		packet->exchange = EXCHANGE_ECHO_REPLY;
	return 0;
}

/* What follows the IP headers; 0, or negative when it is cut short. */
static __always_inline int parse_transport(packet_source *source, struct packet *packet,
					   __u32 offset)
{
	packet->point = POINT_PROTO + packet->protocol;
	packet->reply_point = packet->point;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		packet->exchange = EXCHANGE_TCP;
		if (packet_bytes(source, packet, offset + TCP_FLAGS, &packet->tcp_flags, 1))
			return -1;
		return parse_ports(source, packet, offset, POINT_TCP);
	case IPPROTO_UDP:
		packet->exchange = EXCHANGE_UDP;
		return parse_ports(source, packet, offset, POINT_UDP);
	case IPPROTO_SCTP:
		return parse_ports(source, packet, offset, POINT_SCTP);
	case IPPROTO_ICMP:
		return parse_icmp(source, packet, offset, POINT_ICMP, ICMP_ECHO_REQUEST,
				  ICMP_ECHO_REPLY);
	case IPPROTO_ICMPV6:
		return parse_icmp(source, packet, offset, POINT_ICMPV6, ICMPV6_ECHO_REQUEST,
				  ICMPV6_ECHO_REPLY);
	default:
		return 0;
	}
}

/* A later fragment has no ports: only its protocol is known. */
static __always_inline int parse_fragment(struct packet *packet)
{
	packet->point = POINT_PROTO + packet->protocol;
	packet->reply_point = packet->point;
	return 0;
}

/*
 * Whether the destination in the header is the last one: 0, or negative when a
 * source route, which every user can set, goes on from there, or when there are
 * too many options to tell. The options are the bytes from offset to end of the
 * source. Global, so that the verifier looks at it once.
 */
__noinline int check_options(packet_source *source, __u32 offset, __u32 end)
{
	for (int i = 0; i < MAX_OPTIONS && offset < end; i++) {
		__u8 option[3]; /* type, length, pointer */

		if (load_bytes(source, offset, option, 1))
			return -1;
		if (option[0] == OPTION_END)
			return 0;
		if (option[0] == OPTION_PAD) {
			offset++;
			continue;
		}
		if (load_bytes(source, offset, option, sizeof(option)) || option[1] < 2)
			return -1;
		if ((option[0] == OPTION_LOOSE_ROUTE || option[0] == OPTION_STRICT_ROUTE) &&
		    option[2] <= option[1])
			return -1;
		offset += option[1];
	}
	return offset < end ? -1 : 0;
}

static __always_inline int parse_ipv4(packet_source *source, struct packet *packet)
{
	struct iphdr header;

	packet->family = 4;
	if (packet_bytes(source, packet, 0, &header, sizeof(header)))
		return -1;
	packet->source[0] = bpf_ntohl(header.saddr);
	packet->destination[0] = bpf_ntohl(header.daddr);
	packet->protocol = header.protocol;
	if (header.version != 4 || header.ihl < 5)
		return -1;
	if (header.ihl > 5 && check_options(source, base_of(packet) + sizeof(header),
					    base_of(packet) + header.ihl * 4))
		return -1;
	if (bpf_ntohs(header.frag_off) & IPV4_OFFSET_MASK)
		return parse_fragment(packet);
	return parse_transport(source, packet, header.ihl * 4);
}

static __always_inline int is_extension(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case 139: /* host identity */
	case 140: /* shim6 */
		return 1;
	default:
		return 0;
	}
}

static __always_inline int parse_ipv6(packet_source *source, struct packet *packet)
{
	struct ipv6hdr header;
	__u32 offset = sizeof(header);

	packet->family = 6;
	if (packet_bytes(source, packet, 0, &header, sizeof(header)))
		return -1;
	for (int i = 0; i < 4; i++) {
		packet->source[i] = bpf_ntohl(header.saddr.in6_u.u6_addr32[i]);
		packet->destination[i] = bpf_ntohl(header.daddr.in6_u.u6_addr32[i]);
	}
	packet->protocol = header.nexthdr;
	if (header.version != 6)
		return -1;
	/* Unrolled: rolled up, clang lets the loop fall through to its head, which 5.10 refuses. */
#pragma unroll
	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		__u8 extension[4];

		if (!is_extension(packet->protocol))
			return parse_transport(source, packet, offset);
		if (i == MAX_EXTENSIONS ||
		    packet_bytes(source, packet, offset, extension, sizeof(extension)))
			return -1;
		if (packet->protocol == IPPROTO_FRAGMENT) {
			__u16 place = extension[2] << 8 | extension[3];

			packet->protocol = extension[0];
			if (place & IPV6_OFFSET_MASK)
				return is_extension(packet->protocol) ? -1 : parse_fragment(packet);
			offset += 8;
		} else if (packet->protocol == IPPROTO_ROUTING && extension[3]) {
			/* Segments are left: the header names only the next stop. */
			return -1;
		} else if (packet->protocol == IPPROTO_AH) {
			packet->protocol = extension[0];
			offset += (extension[1] + 2) * 4;
		} else {
			packet->protocol = extension[0];
			offset += (extension[1] + 1) * 8;
		}
	}
	return -1;
}

/* Ports and flags at a place that is in direct reach; 0 when they are not, or for another protocol. */
static __always_inline int parse_common_ports(struct packet *packet, __u8 protocol,
					      const __be16 *ports, const void *end)
{
	const __u8 *header = (const void *)ports;

	if ((const void *)(header + MIN_UDP) > end)
		return 0;
	if (protocol == IPPROTO_TCP) {
		if ((const void *)(header + TCP_FLAGS + 1) > end)
			return 0;
		packet->tcp_flags = header[TCP_FLAGS];
		packet->exchange = EXCHANGE_TCP;
		packet->point = POINT_TCP;
	} else if (protocol == IPPROTO_UDP) {
		packet->exchange = EXCHANGE_UDP;
		packet->point = POINT_UDP;
	} else {
		return 0;
	}
	packet->protocol = protocol;
	packet->source_port = bpf_ntohs(ports[0]);
	packet->destination_port = bpf_ntohs(ports[1]);
	packet->reply_point = packet->point + packet->source_port;
	packet->point += packet->destination_port;
	return 1;
}

/*
 * Reads what nearly every packet is, TCP or UDP over IPv4 without options, from
 * fixed places. 0 when the packet is anything else.
 */
static __always_inline int parse_common4(packet_source *source, struct packet *packet)
{
	const struct iphdr *header = (void *)(long)source->data + base_of(packet);
	void *end = (void *)(long)source->data_end;

	if ((void *)(header + 1) > end || *(const __u8 *)header != IPV4_PLAIN ||
	    header->frag_off & bpf_htons(IPV4_OFFSET_MASK) ||
	    !parse_common_ports(packet, header->protocol, (void *)(header + 1), end))
		return 0;
	packet->family = 4;
	packet->source[0] = bpf_ntohl(header->saddr);
	packet->destination[0] = bpf_ntohl(header->daddr);
	return 1;
}

/* As parse_common4, for IPv6 without extension headers. */
static __always_inline int parse_common6(packet_source *source, struct packet *packet)
{
	const struct ipv6hdr *header = (void *)(long)source->data + base_of(packet);
	void *end = (void *)(long)source->data_end;

	if ((void *)(header + 1) > end || (*(const __u8 *)header & 0xf0) != IPV6_VERSION ||
	    !parse_common_ports(packet, header->nexthdr, (void *)(header + 1), end))
		return 0;
	packet->family = 6;
	for (int i = 0; i < 4; i++) {
		packet->source[i] = bpf_ntohl(header->saddr.in6_u.u6_addr32[i]);
		packet->destination[i] = bpf_ntohl(header->daddr.in6_u.u6_addr32[i]);
	}
	return 1;
}

/* Everything else; a function of its own, so that the common case stays short. */
static __noinline int parse_any(packet_source *source, struct packet *packet)
{
	if (!packet)
		return -1;
	if (ether_type_of(source, packet) == bpf_htons(ETH_P_IP))
		return parse_ipv4(source, packet);
	if (ether_type_of(source, packet) == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(source, packet);
	return -1;
}

/*
 * Fills packet, which must be zero. Returns 0, or negative when the packet
 * cannot be read; addresses and protocol are then set as far as they are known.
 */
static __always_inline int parse(packet_source *source, struct packet *packet)
{
	__be16 type = ether_type_of(source, packet);

	packet->length = length_of(source, packet);
	if ((type == bpf_htons(ETH_P_IP) && parse_common4(source, packet)) ||
	    (type == bpf_htons(ETH_P_IPV6) && parse_common6(source, packet)))
		return 0;
	return parse_any(source, packet);
}

#endif
