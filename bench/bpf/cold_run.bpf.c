/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cgroup_skb programs for test runs in which every packet has another remote
 * address; and programs that only pick that address, to be subtracted.
 */
#include "test_owner.h"
#include "picks.h"
#include "../../bpf/places.h"

/* The address that was picked last, as a packet would hold it. */
__be32 picked[4];

static __always_inline const __be32 *pick_remote(__u32 words)
{
	const __u32 *word = pick(words);

	for (__u32 i = 0; word && i < words; i++)
		picked[i] = bpf_htonl(word[i]);
	return picked;
}

static __always_inline int finds_and_picks4(struct __sk_buff *skb, __u32 direction,
					    struct places *places)
{
	int is_found = finds_places4(skb, direction, places);

	places->remote = pick_remote(1);
	return is_found;
}

static __always_inline int finds_and_picks6(struct __sk_buff *skb, __u32 direction,
					    struct places *places)
{
	int is_found = finds_places6(skb, direction, places);

	places->remote = pick_remote(4);
	return is_found;
}

/* What the quick way left: the same address again. */
static __always_inline int parse_picked(struct __sk_buff *skb, struct packet *packet)
{
	int code = parse(skb, packet);

	for (int i = 0; i < (packet->family == 4 ? 1 : 4); i++)
		packet->source[i] = packet->destination[i] = bpf_ntohl(picked[i]);
	return code;
}

#define finds_places4 finds_and_picks4
#define finds_places6 finds_and_picks6
#define parse parse_picked
#include "../../bpf/cgroup_skb.bpf.c"

SEC("cgroup_skb/egress")
int pick4(struct __sk_buff *skb)
{
	asm volatile("" : : "r"((__u64)pick_remote(1)[0]));
	return 1;
}

SEC("cgroup_skb/egress")
int pick6(struct __sk_buff *skb)
{
	const __be32 *remote = pick_remote(4);

	asm volatile("" : : "r"((__u64)remote[0]), "r"((__u64)remote[3]));
	return 1;
}
