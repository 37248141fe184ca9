/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* For kernels before 5.18, where a frame is one buffer: native mode needs a small MTU. */
#include "xdp.h"

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int cgfw_xdp(struct xdp_md *frame)
{
	return filter(frame);
}
