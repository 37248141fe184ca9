/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cgroup_skb programs for test runs in which every packet has another remote
 * address; and programs that only pick that address, to be subtracted.
 */
#include "test_owner.h"
#include "picks.h"
#include "../../bpf/packet.h"

static __always_inline int parse_and_pick(struct __sk_buff *skb, struct packet *packet)
{
	int code = parse(skb, packet);
	const __u32 *word;

	if (packet->family == 4) {
		word = pick(1);
		if (!word)
			return -1;
		packet->source[0] = packet->destination[0] = word[0];
		return code;
	}
	word = pick(4);
	if (!word)
		return -1;
	for (int i = 0; i < 4; i++)
		packet->source[i] = packet->destination[i] = word[i];
	return code;
}

#define parse parse_and_pick
#include "../../bpf/cgroup_skb.bpf.c"

SEC("cgroup_skb/egress")
int pick4(struct __sk_buff *skb)
{
	const __u32 *word = pick(1);
	__u32 first = word ? word[0] : 0;

	asm volatile("" : : "r"(first));
	return 1;
}

SEC("cgroup_skb/egress")
int pick6(struct __sk_buff *skb)
{
	const __u32 *word = pick(4);
	__u32 first = word ? word[0] : 0, last = word ? word[3] : 0;

	asm volatile("" : : "r"(first), "r"(last));
	return 1;
}
