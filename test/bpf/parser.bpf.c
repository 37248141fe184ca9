/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cgroup_skb programs for test runs, where no cgroup says who owns it: policy
 * 1 does. The two ways of a packet apart. And the parser alone, which says what it
 * has read.
 */
#define CGFW_OWNER_H
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"

static __always_inline __u32 owner_index(__u32 slot)
{
	const struct owner *owner = bpf_get_local_storage(&owners, 0);

	/* A test run has fresh storage, all zero. */
	return owner->policy[slot] + 1;
}

#include "cgroup_skb.bpf.c"

struct parsed {
	__s32 result;
	struct packet packet;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct parsed);
} parsed SEC(".maps");

SEC("cgroup_skb/egress")
int parse_only(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct parsed *answer;
	__u32 zero = 0;

	answer = bpf_map_lookup_elem(&parsed, &zero);
	if (!answer)
		return FAIL;
	answer->result = parse(skb, &packet);
	answer->packet = packet;
	return PASS;
}

/* 1 when the quick way has an answer. */
SEC("cgroup_skb/egress")
int quick_only(struct __sk_buff *skb)
{
	struct view view;

	return open_view(&view) && view.policy && pass_quickly(skb, &view, EGRESS);
}

SEC("cgroup_skb/egress")
int whole_only(struct __sk_buff *skb)
{
	int code = egress_whole(skb);

	asm volatile("%0 &= 3" : "+r"(code));
	return code;
}
