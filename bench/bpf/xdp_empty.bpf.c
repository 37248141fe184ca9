/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What a frame costs when the interface's program does nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp.frags")
int drop(struct xdp_md *frame)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int pass(struct xdp_md *frame)
{
	return XDP_PASS;
}
