/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Which policy owns a network interface. */
#ifndef CGFW_INTERFACE_H
#define CGFW_INTERFACE_H

#include "maps.h"

/*
 * Index in policies, 0 = none. Interfaces are numbered one after the other, so
 * the first place is nearly always the right one; a hash would cost a helper call.
 */
static __always_inline __u32 interface_owner(__u32 slot, __u32 ifindex)
{
	for (int i = 0; i < INTERFACE_PROBES; i++) {
		__u32 place = (ifindex + i) & (INTERFACES - 1);
		const struct interface_owner *entry = bpf_map_lookup_elem(&interfaces, &place);

		if (entry && entry->ifindex == ifindex)
			return entry->policy[slot & 1];
	}
	return 0;
}

#endif
