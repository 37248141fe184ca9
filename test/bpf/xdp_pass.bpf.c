/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Programs of somebody else on an interface. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int xdp_pass(struct xdp_md *frame)
{
	return XDP_PASS;
}

/* As libxdp calls the program that it puts before those that it loads. */
SEC("xdp")
int xdp_dispatcher(struct xdp_md *frame)
{
	return XDP_PASS;
}
