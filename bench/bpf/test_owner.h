/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Stands in for bpf/owner.h: a test run gives each program fresh, zeroed storage. */
#ifndef CGFW_OWNER_H
#define CGFW_OWNER_H

#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/maps.h"

static __always_inline __u32 owner_index(__u32 slot)
{
	const struct owner *owner = bpf_get_local_storage(&owners, 0);

	return owner->policy[slot] + 1;
}

#endif
