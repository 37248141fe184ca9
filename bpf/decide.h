/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The classifier: tables in, rule out. It has no side effects but the count of
 * table faults, so every hook and the explain program answer alike.
 */
#ifndef CGFW_DECIDE_H
#define CGFW_DECIDE_H

#include "class4.h"
#include "class6.h"

static __always_inline int class_of(__u32 slot, __u32 family, const __u32 *address)
{
	return family == 4 ? class_of_ipv4(slot, address[0]) : class_of_ipv6(slot, address);
}

/* Class of an address; 0 where no direction of these flags asks for it, negative as class_of. */
static __always_inline int classify(__u32 slot, __u32 flags, __u32 family, const __u32 *address)
{
	return flags & DIRECTION_ONE_ROW ? 0 : class_of(slot, family, address);
}

/*
 * Which rule of a direction decides on a class of addresses, by classify: index
 * relative to its rule_base. A fault in the tables is answered with the rule for
 * what cannot be read.
 */
static __always_inline __u32 decide_class(__u32 slot, const struct direction *direction,
					  int class, __u32 point)
{
	__u32 flags = direction->flags, row = flags & DIRECTION_ONE_ROW ? 0 : class;
	const __u16 *service, *entry;

	if (!(flags & DIRECTION_ONE_ROW) || flags & DIRECTION_ONE_COLUMN) {
		if (class < 0)
			goto fault;
		entry = cell_at(slot, direction->row_base + row);
		if (!entry)
			goto fault;
		if (flags & DIRECTION_ONE_COLUMN)
			return *entry;
		row = *entry;
	}
	service = service_at(slot, point);
	if (!service)
		goto fault;
	entry = cell_at(slot, direction->col_base + *service);
	if (!entry)
		goto fault;
	if (flags & DIRECTION_ONE_ROW)
		return *entry;
	entry = cell_at(slot, direction->cell_base + row * direction->cols + *entry);
	if (!entry)
		goto fault;
	return *entry;
fault:
	count_fault(FAULT_TABLE);
	return direction->unparsable_rule;
}

/* Which rule of a direction decides on an address, as decide_class. */
static __always_inline __u32 decide(__u32 slot, const struct direction *direction, __u32 family,
				    const __u32 *address, __u32 point)
{
	return decide_class(slot, direction,
			    classify(slot, direction->flags, family, address), point);
}

#endif
