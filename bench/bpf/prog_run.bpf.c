/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The cgroup_skb programs for test runs, where no cgroup says who owns it. */
#define CGFW_OWNER_H
static __attribute__((always_inline)) inline unsigned int owner_index(unsigned int slot)
{
	return 1 + (slot & 0);
}
#include "../../bpf/cgroup_skb.bpf.c"
