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
#define LINE_SHIFT 6
#define RANGE6_SHIFT 8
#define WORD_SHIFT 11
#define RULE_SHIFT 9

#define SEARCH4_STEPS 10
#define SEARCH4_MORE_STEPS 17
#define SEARCH_SHORT_STEPS 3
#define SEARCH_SHORT_MORE_STEPS 12

/* Ranges that are found with one look at their table. */
#define BLOCK_RANGES4 (BLOCK_SIZE / sizeof(__u32))
#define LINE_SHORTS 8

/* A table ends too early: more than a value can be. */
#define NO_VALUE (1ULL << 32)
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

/* The block that holds an IPv4 range. */
static __always_inline const __u32 *ranges4_of(__u32 slot, __u32 index)
{
	return entry_at(&ranges4, slot * capacity.ranges4 + (index >> RANGE4_SHIFT), 0);
}

/* The line that holds a short range. */
static __always_inline const struct short_range *shorts_of(__u32 slot, __u32 index)
{
	__u32 line = index / LINE_SHORTS;

	return entry_at(&ranges4, slot * capacity.ranges4 + (line >> LINE_SHIFT),
			(line & ((1 << LINE_SHIFT) - 1)) * LINE_SHORTS *
				sizeof(struct short_range));
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
	for (int step = 0; step < SEARCH4_STEPS && count > 1; step++) {
		__u32 half = count >> 1;

		if ((block[(first + half) & (BLOCK_RANGES4 - 1)] >> 16) <= low)
			first += half;
		count -= half;
	}
	return block[first & (BLOCK_RANGES4 - 1)] & 0xffff;
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

/*
 * Class by ranges that compare 64 bits. Few addresses come here: a function of its
 * own, and a global one, so that the verifier looks at its loops once.
 */
__noinline int class_of_long(__u32 slot, __u32 first, __u32 count, __u64 high, __u64 low)
{
	const struct range6 *range = search6(slot & 1, first, count, high);

	if (range && range->count)
		range = search6(slot & 1, range->value, range->count, low);
	return range ? range->value & 0xffff : -1;
}

/* As value_of_short, for ranges in more than one line: only hostile lists have them. */
__noinline __u64 value_of_many(__u32 slot, __u32 first, __u32 count, __u32 key)
{
	const struct short_range *line;

	for (int step = 0; step < SEARCH_SHORT_MORE_STEPS && count > 1; step++) {
		__u32 half = count >> 1, at = first + half;

		line = shorts_of(slot & 1, at);
		if (!line)
			return NO_VALUE;
		if (line[at & (LINE_SHORTS - 1)].start <= key)
			first = at;
		count -= half;
	}
	line = shorts_of(slot & 1, first);
	return line ? line[first & (LINE_SHORTS - 1)].value : NO_VALUE;
}

/* Value of the last of count short ranges from first whose start is not above key. */
static __always_inline __u64 value_of_short(__u32 slot, __u32 first, __u32 count, __u32 key)
{
	const struct short_range *line;

	if (count > LINE_SHORTS)
		return value_of_many(slot, first, count, key);
	line = shorts_of(slot, first);
	if (!line)
		return NO_VALUE;
	for (int step = 0; step < SEARCH_SHORT_STEPS && count > 1; step++) {
		__u32 half = count >> 1;

		if (line[(first + half) & (LINE_SHORTS - 1)].start <= key)
			first += half;
		count -= half;
	}
	return line[first & (LINE_SHORTS - 1)].value;
}

/* Entry of a node for the bits of an address that no node above it has looked at. */
static __always_inline const struct root *node_entry(__u32 slot, const struct root *node,
						     __u64 rest)
{
	__u32 width = node->count & NODE_WIDTH, skip = node->count >> NODE_SKIP & NODE_SKIPPED;
	__u32 common = node->count >> NODE_COMMON & 0xffff, index;
	__u32 skipped = (rest >> 48) >> (16 - skip);

	if (skipped == common)
		index = rest << skip >> (64 - width);
	else
		index = (1 << width) + (skipped > common);
	return root_at(slot, NODES + node->first + index);
}

static __always_inline int class_of_ipv6(__u32 slot, const __u32 *address)
{
	__u64 high = (__u64)address[0] << 32 | address[1];
	__u64 low = (__u64)address[2] << 32 | address[3];
	const struct root *root = root_at(slot, ROOTS6 + (high >> 48));
	__u64 rest = high << 16, value;

	if (!root)
		return -1;
	for (int level = 0; level < NODE_LEVELS6 && root->count & ROOT_NODE; level++) {
		__u32 word = root->count;

		root = node_entry(slot, root, rest);
		if (!root)
			return -1;
		rest <<= (word >> NODE_SKIP & NODE_SKIPPED) + (word & NODE_WIDTH);
	}
	if (root->count == 0)
		return root->first & 0xffff;
	if (!(root->count & ROOT_SHORT))
		return class_of_long(slot, root->first, root->count, high, low);
	value = value_of_short(slot, root->first, root->count & ~ROOT_SHORT, rest >> 32);
	if (value == NO_VALUE)
		return -1;
	if (value & VALUE_LONG)
		return class_of_long(slot, value & ~VALUE_LONG, 1, high, low);
	return value & 0xffff;
}

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
