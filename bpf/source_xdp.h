/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Packets as an interface's program gets them: frames, whose IP header begins
 * behind Ethernet and VLAN tags. A frame of several buffers shows the first one
 * directly; the rest is reached where the includer defines XDP_FRAGS, which
 * needs Linux 5.18.
 */
#ifndef CGFW_SOURCE_XDP_H
#define CGFW_SOURCE_XDP_H

/* As far as headers reach; the verifier wants to know. */
#define MAX_REACH 2048

typedef struct xdp_md packet_source;

static __always_inline int load_bytes(packet_source *source, __u32 offset, void *to, __u32 size)
{
#ifdef XDP_FRAGS
	return bpf_xdp_load_bytes(source, offset, to, size);
#else
	void *data = (void *)(long)source->data;

	if (offset > MAX_REACH || data + offset + size > (void *)(long)source->data_end)
		return -1;
	__builtin_memcpy(to, data + offset, size);
	return 0;
#endif
}

static __always_inline __u32 base_of(const struct packet *packet)
{
	return packet->base;
}

static __always_inline __be16 ether_type_of(packet_source *source, const struct packet *packet)
{
	return packet->ether_type;
}

static __always_inline __u32 length_of(packet_source *source, const struct packet *packet)
{
#ifdef XDP_FRAGS
	return bpf_xdp_get_buff_len(source) - packet->base;
#else
	return source->data_end - source->data - packet->base;
#endif
}

#endif
