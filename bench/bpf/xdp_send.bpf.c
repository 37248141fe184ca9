/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Sends the frame of a live test run again and again, each time from another address. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "picks.h"

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int send4(struct xdp_md *frame)
{
	struct ethhdr *ether = (void *)(long)frame->data;
	struct iphdr *ip = (void *)(ether + 1);
	const __u32 *word = pick(1);

	if (!word || (void *)(ip + 1) > (void *)(long)frame->data_end)
		return XDP_ABORTED;
	ip->saddr = bpf_htonl(word[0]);
	return XDP_TX;
}

SEC("xdp")
int send6(struct xdp_md *frame)
{
	struct ethhdr *ether = (void *)(long)frame->data;
	struct ipv6hdr *ip = (void *)(ether + 1);
	const __u32 *word = pick(4);

	if (!word || (void *)(ip + 1) > (void *)(long)frame->data_end)
		return XDP_ABORTED;
	for (int i = 0; i < 4; i++)
		ip->saddr.in6_u.u6_addr32[i] = bpf_htonl(word[i]);
	return XDP_TX;
}
