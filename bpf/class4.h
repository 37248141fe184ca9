/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The class of an IPv4 address: abi.h says how the tables lie. */
#ifndef CGFW_CLASS4_H
#define CGFW_CLASS4_H

#include "table.h"

#define RANGE4_SHIFT 10
#define SEARCH4_STEPS 10
#define SEARCH4_MORE_STEPS 17

/* Ranges that are found with one look at their table. */
#define BLOCK_RANGES4 (BLOCK_SIZE / sizeof(__u32))

/* The block that holds an IPv4 range. */
static __always_inline const __u32 *ranges4_of(__u32 slot, __u32 index)
{
	return entry_at(&ranges4, slot * capacity.ranges4 + (index >> RANGE4_SHIFT), 0);
}

/* Has an entry of a table brought into the cache while something else is looked at. */
static __always_inline void touch(const __u32 *entry)
{
	__u32 word = *(const volatile __u32 *)entry;

	asm volatile("" : : "r"(word));
}

/* As class_of_ipv4, for ranges in more than one block: only hostile lists have them. */
__noinline int class_of_many4(__u32 slot, __u32 first, __u32 count, __u32 low)
{
	const __u32 *block;

	for (int step = 0; step < SEARCH4_MORE_STEPS && count > 1; step++) {
		__u32 half = count >> 1, at = first + half;

		block = ranges4_of(slot & 1, at);
		if (!block)
			return -1;
		if ((block[at & (BLOCK_RANGES4 - 1)] >> 16) <= low)
			first = at;
		count -= half;
	}
	block = ranges4_of(slot & 1, first);
	return block ? block[first & (BLOCK_RANGES4 - 1)] & 0xffff : -1;
}

/*
 * Class of an IPv4 address, or a negative number when a table ends too early.
 * The search keeps the last start that is not above the address in
 * [first, first + count).
 */
static __always_inline int class_of_ipv4(__u32 slot, __u32 address)
{
	const struct root *root = root_at(slot, address >> 16);
	__u32 first, count, low = address & 0xffff;
	const __u32 *block;

	if (!root)
		return -1;
	first = root->first;
	count = root->count;
	if (count & ROOT_NODE) {
		root = root_at(slot, NODES + first + (low >> (16 - (count & NODE_WIDTH))));
		if (!root)
			return -1;
		first = root->first;
		count = root->count;
	}
	if (count == 0)
		return first & 0xffff;
	if (count > BLOCK_RANGES4)
		return class_of_many4(slot, first, count, low);
	block = ranges4_of(slot, first);
	if (!block)
		return -1;
	/* The search begins in the middle and ends anywhere: three lines at once, not in turn. */
	touch(&block[first & (BLOCK_RANGES4 - 1)]);
	touch(&block[(first + count - 1) & (BLOCK_RANGES4 - 1)]);
	for (int step = 0; step < SEARCH4_STEPS && count > 1; step++) {
		__u32 half = count >> 1;

		if ((block[(first + half) & (BLOCK_RANGES4 - 1)] >> 16) <= low)
			first += half;
		count -= half;
	}
	return block[first & (BLOCK_RANGES4 - 1)] & 0xffff;
}

#endif
