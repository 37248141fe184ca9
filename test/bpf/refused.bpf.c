/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A program that the verifier refuses: it reads before the packet. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("cgroup_skb/egress")
int reads_before(struct __sk_buff *skb)
{
	const __u8 *data = (const __u8 *)(long)skb->data;

	return data[-1] & 1;
}
