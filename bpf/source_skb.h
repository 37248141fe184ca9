/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Packets as a cgroup's programs get them: socket buffers that begin at the IP header. */
#ifndef CGFW_SOURCE_SKB_H
#define CGFW_SOURCE_SKB_H

typedef struct __sk_buff packet_source;

static __always_inline int load_bytes(packet_source *source, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes(source, offset, to, size);
}

static __always_inline __u32 base_of(const struct packet *packet)
{
	return 0;
}

static __always_inline __be16 ether_type_of(packet_source *source, const struct packet *packet)
{
	return source->protocol;
}

static __always_inline __u32 length_of(packet_source *source, const struct packet *packet)
{
	return source->len;
}

#endif
