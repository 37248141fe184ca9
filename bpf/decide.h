/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The classifier: tables in, rule out. It has no side effects but the count of
 * table faults, so every hook and the explain program answer alike.
 */
#ifndef CGFW_DECIDE_H
#define CGFW_DECIDE_H

#include "maps.h"

/* log2 of the entries in a block. */
#define ROOT_SHIFT 9
#define RANGE4_SHIFT 10
#define RANGE6_SHIFT 8
#define WORD_SHIFT 11
#define RULE_SHIFT 9

#define NODE_LEVELS6 6
#define SEARCH4_STEPS 17
#define SEARCH6_STEPS 21

/*
 * Entry at a byte offset below BLOCK_SIZE in one block of a table. The empty asm
 * keeps the addition behind the check: clang would move it up, where the
 * verifier still sees a pointer that may be null.
 */
static __always_inline const void *entry_at(void *table, __u32 block, __u32 offset)
{
	const __u8 *start = bpf_map_lookup_elem(table, &block);

	if (!start)
		return NULL;
	asm volatile("" : "+r"(offset));
	return start + offset;
}

static __always_inline const struct root *root_at(__u32 slot, __u32 index)
{
	return entry_at(&roots, slot * capacity.roots + (index >> ROOT_SHIFT),
			(index & ((1 << ROOT_SHIFT) - 1)) * sizeof(struct root));
}

static __always_inline const __u32 *range4_at(__u32 slot, __u32 index)
{
	return entry_at(&ranges4, slot * capacity.ranges4 + (index >> RANGE4_SHIFT),
			(index & ((1 << RANGE4_SHIFT) - 1)) * sizeof(__u32));
}

static __always_inline const struct range6 *range6_at(__u32 slot, __u32 index)
{
	return entry_at(&ranges6, slot * capacity.ranges6 + (index >> RANGE6_SHIFT),
			(index & ((1 << RANGE6_SHIFT) - 1)) * sizeof(struct range6));
}

static __always_inline const __u16 *cell_at(__u32 slot, __u32 index)
{
	return entry_at(&cells, slot * capacity.cells + (index >> WORD_SHIFT),
			(index & ((1 << WORD_SHIFT) - 1)) * sizeof(__u16));
}

static __always_inline const __u16 *service_at(__u32 slot, __u32 point)
{
	return entry_at(&services, slot * capacity.services + (point >> WORD_SHIFT),
			(point & ((1 << WORD_SHIFT) - 1)) * sizeof(__u16));
}

static __always_inline const struct rule *rule_at(__u32 slot, __u32 index)
{
	return entry_at(&rules, slot * capacity.rules + (index >> RULE_SHIFT),
			(index & ((1 << RULE_SHIFT) - 1)) * sizeof(struct rule));
}

static __always_inline const struct policy *policy_at(__u32 slot, __u32 index)
{
	__u32 key = slot * capacity.policies + index;

	return bpf_map_lookup_elem(&policies, &key);
}

/*
 * Class of an IPv4 address, or a negative number when a table ends too early.
 * The search keeps the last start that is not above the address in
 * [first, first + count); the halving count needs no branch on the data.
 */
static __always_inline int class_of_ipv4(__u32 slot, __u32 address)
{
	const struct root *root = root_at(slot, address >> 16);
	__u32 first, count, low = address & 0xffff;
	const __u32 *range;

	if (!root)
		return -1;
	first = root->first;
	count = root->count;
	if (count & ROOT_NODE) {
		root = root_at(slot, NODES + first * NODE_SIZE + (low >> 8));
		if (!root)
			return -1;
		first = root->first;
		count = root->count;
	}
	if (count == 0)
		return first & 0xffff;
	for (int step = 0; step < SEARCH4_STEPS && count > 1; step++) {
		__u32 half = count >> 1;

		range = range4_at(slot, first + half);
		if (!range)
			return -1;
		if ((*range >> 16) <= low)
			first += half;
		count -= half;
	}
	range = range4_at(slot, first);
	return range ? *range & 0xffff : -1;
}

/* Last of count ranges from first whose start is not above key. */
static __always_inline const struct range6 *search6(__u32 slot, __u32 first, __u32 count,
						    __u64 key)
{
	for (int step = 0; step < SEARCH6_STEPS && count > 1; step++) {
		__u32 half = count >> 1;
		const struct range6 *range = range6_at(slot, first + half);

		if (!range)
			return NULL;
		if (range->start <= key)
			first += half;
		count -= half;
	}
	return range6_at(slot, first);
}

static __always_inline int class_of_ipv6(__u32 slot, const __u32 *address)
{
	__u64 high = (__u64)address[0] << 32 | address[1];
	__u64 low = (__u64)address[2] << 32 | address[3];
	const struct root *root = root_at(slot, ROOTS6 + (high >> 48));
	const struct range6 *range;
	__u64 rest = high << 16;

	if (!root)
		return -1;
	for (int level = 0; level < NODE_LEVELS6 && root->count & ROOT_NODE; level++) {
		root = root_at(slot, NODES + root->first * NODE_SIZE + (rest >> 56));
		if (!root)
			return -1;
		rest <<= 8;
	}
	if (root->count == 0)
		return root->first & 0xffff;
	range = search6(slot, root->first, root->count, high);
	if (range && range->count)
		range = search6(slot, range->value, range->count, low);
	return range ? range->value & 0xffff : -1;
}

static __always_inline int class_of(__u32 slot, __u32 family, const __u32 *address)
{
	return family == 4 ? class_of_ipv4(slot, address[0]) : class_of_ipv6(slot, address);
}

/*
 * Which rule of a direction decides: index relative to its rule_base. A fault
 * in the tables is answered with the rule for what cannot be read.
 */
static __always_inline __u32 decide(__u32 slot, const struct direction *direction, __u32 family,
				    const __u32 *address, __u32 point)
{
	const __u16 *service, *entry;
	__u32 row = 0, column = 0;
	int class;

	if (!(direction->flags & DIRECTION_ONE_ROW)) {
		class = class_of(slot, family, address);
		if (class < 0)
			goto fault;
		entry = cell_at(slot, direction->row_base + class);
		if (!entry)
			goto fault;
		row = *entry;
	}
	if (!(direction->flags & DIRECTION_ONE_COLUMN)) {
		service = service_at(slot, point);
		if (!service)
			goto fault;
		entry = cell_at(slot, direction->col_base + *service);
		if (!entry)
			goto fault;
		column = *entry;
	}
	entry = cell_at(slot, direction->cell_base + row * direction->cols + column);
	if (!entry)
		goto fault;
	return *entry;
fault:
	count_fault(FAULT_TABLE);
	return direction->unparsable_rule;
}

#endif
