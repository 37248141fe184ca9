/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The program of interfaces for test runs in which every frame has another
 * source; and programs that only pick that address, to be subtracted.
 */
#define CGFW_FRAMES
#define XDP_FRAGS
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "picks.h"
#include "../../bpf/packet.h"

static __always_inline int parse_and_pick(struct xdp_md *frame, struct packet *packet)
{
	int code = parse(frame, packet);
	const __u32 *word;

	if (packet->family == 4) {
		word = pick(1);
		if (!word)
			return -1;
		packet->source[0] = word[0];
		return code;
	}
	word = pick(4);
	if (!word)
		return -1;
	for (int i = 0; i < 4; i++)
		packet->source[i] = word[i];
	return code;
}

#define parse parse_and_pick
#include "../../bpf/xdp.h"

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp.frags")
int cold(struct xdp_md *frame)
{
	return filter(frame);
}

SEC("xdp.frags")
int pick4(struct xdp_md *frame)
{
	const __u32 *word = pick(1);
	__u32 first = word ? word[0] : 0;

	asm volatile("" : : "r"(first));
	return XDP_PASS;
}

SEC("xdp.frags")
int pick6(struct xdp_md *frame)
{
	const __u32 *word = pick(4);
	__u32 first = word ? word[0] : 0, last = word ? word[3] : 0;

	asm volatile("" : : "r"(first), "r"(last));
	return XDP_PASS;
}
