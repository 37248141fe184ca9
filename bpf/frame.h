/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What stands before the IP header of a frame: Ethernet and up to two VLAN tags. */
#ifndef CGFW_FRAME_H
#define CGFW_FRAME_H

#include "packet.h"

#define MAX_TAGS 2

struct tag {
	__be16 identity;
	__be16 ether_type;	/* of what follows */
};

enum frame {
	FRAME_IP,		/* base and ether_type of the packet are set */
	FRAME_OTHER,		/* ARP, LLDP and the like: not ours to judge */
	FRAME_UNREADABLE,	/* cut short, or more tags than we look behind */
};

static __always_inline int is_tag(__be16 ether_type)
{
	return ether_type == bpf_htons(ETH_P_8021Q) || ether_type == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum frame read_frame(struct xdp_md *frame, struct packet *packet)
{
	void *data = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	const struct ethhdr *header = data;
	__u32 base = sizeof(*header);

	if ((void *)(header + 1) > end)
		return FRAME_UNREADABLE;
	packet->ether_type = header->h_proto;
	for (int i = 0; i < MAX_TAGS && is_tag(packet->ether_type); i++) {
		const struct tag *tag = data + base;

		if ((void *)(tag + 1) > end)
			return FRAME_UNREADABLE;
		packet->ether_type = tag->ether_type;
		base += sizeof(*tag);
	}
	packet->base = base;
	if (packet->ether_type == bpf_htons(ETH_P_IP) ||
	    packet->ether_type == bpf_htons(ETH_P_IPV6))
		return FRAME_IP;
	return is_tag(packet->ether_type) ? FRAME_UNREADABLE : FRAME_OTHER;
}

#endif
