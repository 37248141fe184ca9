/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* For frames of any number of buffers, as jumbo frames are. */
#define XDP_FRAGS
#include "xdp.h"

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("xdp.frags")
int cgfw_xdp(struct xdp_md *frame)
{
	return filter(frame);
}
