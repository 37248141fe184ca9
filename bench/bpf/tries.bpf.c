/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The design of systemd's IPAddressDeny: one LPM trie for each family, looked up
 * with the remote address of every packet, and two counters. The cold programs
 * take the address from picks.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "picks.h"

char _license[] SEC("license") = "Dual MIT/GPL";

struct key4 { __u32 length; __u8 address[4]; };
struct key6 { __u32 length; __u8 address[16]; };

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct key4);
	__type(value, __u64);
} deny4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct key6);
	__type(value, __u64);
} deny6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} accounting SEC(".maps");

static __always_inline void account(__u32 which, __u64 amount)
{
	__u64 *sum = bpf_map_lookup_elem(&accounting, &which);

	if (sum)
		__sync_fetch_and_add(sum, amount);
}

static __always_inline int judge(struct __sk_buff *skb, __u32 offset4, __u32 offset6, int is_cold)
{
	const void *found = NULL;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct key4 key = { .length = 32 };
		const __u32 *word;

		bpf_skb_load_bytes(skb, offset4, key.address, sizeof(key.address));
		if (is_cold && (word = pick(1)))
			*(__u32 *)key.address = bpf_htonl(word[0]);
		found = bpf_map_lookup_elem(&deny4, &key);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct key6 key = { .length = 128 };
		const __u32 *word;

		bpf_skb_load_bytes(skb, offset6, key.address, sizeof(key.address));
		if (is_cold && (word = pick(4)))
			for (int i = 0; i < 4; i++)
				((__u32 *)key.address)[i] = bpf_htonl(word[i]);
		found = bpf_map_lookup_elem(&deny6, &key);
	}
	account(0, 1);
	account(1, skb->len);
	return !found;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	return judge(skb, offsetof(struct iphdr, daddr), offsetof(struct ipv6hdr, daddr), 0);
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	return judge(skb, offsetof(struct iphdr, saddr), offsetof(struct ipv6hdr, saddr), 0);
}

SEC("cgroup_skb/egress")
int cold(struct __sk_buff *skb)
{
	return judge(skb, offsetof(struct iphdr, daddr), offsetof(struct ipv6hdr, daddr), 1);
}
