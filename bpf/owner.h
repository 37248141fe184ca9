/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which policy owns the cgroup that a program is attached to. A file of its own,
 * because a test run has no cgroup: the bench and the parser tests bring another.
 */
#ifndef CGFW_OWNER_H
#define CGFW_OWNER_H

#include "maps.h"

/* Index in policies, 0 = none. */
static __always_inline __u32 owner_index(__u32 slot)
{
	const struct owner *owner = bpf_get_local_storage(&owners, 0);

	return owner->policy[slot];
}

#endif
