/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The class of an IPv6 address: abi.h says how the tables lie. */
#ifndef CGFW_CLASS6_H
#define CGFW_CLASS6_H

#include "table.h"

#define LINE_SHIFT 6
#define RANGE6_SHIFT 8
#define SEARCH6_STEPS 21

/* Levels of nodes that are looked through in place; few addresses go deeper. */
#define NEAR_LEVELS 3

/* An entry of roots, found: in which block, and where in it. */
struct found_root {
	const struct root *root;
	const __u8 *block;
	__u32 place;
};

/* Finds the entry at a place: 1, or 0 where the table ends. The slot begins at block `base`. */
static __always_inline int find_root(struct found_root *found, __u32 base, __u32 place)
{
	__u32 index = base + (place >> ROOT_SHIFT);
	const __u8 *block = bpf_map_lookup_elem(&roots, &index);
	__u64 offset = (place & ((1 << ROOT_SHIFT) - 1)) * sizeof(struct root);

	if (!block)
		return 0;
	found->block = block;
	found->place = place;
	asm volatile("" : "+r"(offset));
	found->root = (const void *)(block + offset);
	return 1;
}

/* The entry, if it is one of a wide node, with the ends of lines that stand behind it. */
static __always_inline const struct wide_root *wide_of(const struct found_root *found)
{
	__u64 offset = (found->place & ((1 << ROOT_SHIFT) - WIDE_PLACES)) * sizeof(struct root);

	asm volatile("" : "+r"(offset));
	return (const void *)(found->block + offset);
}

static __always_inline const struct line *line_at(__u32 slot, __u32 index)
{
	return entry_at(&ranges4, slot * capacity.ranges4 + (index >> LINE_SHIFT),
			(index & ((1 << LINE_SHIFT) - 1)) * sizeof(struct line));
}

static __always_inline const struct range6 *range6_at(__u32 slot, __u32 index)
{
	return entry_at(&ranges6, slot * capacity.ranges6 + (index >> RANGE6_SHIFT),
			(index & ((1 << RANGE6_SHIFT) - 1)) * sizeof(struct range6));
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

/*
 * How many of the first `count` are below key. Without a branch, which would be
 * guessed wrong as often as not; the caller's key must be opaque to the
 * compiler, which would make a branch of the sign.
 */
static __always_inline __u32 below(const __u32 *last, __u32 count, __u64 key)
{
	__u64 found = 0;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < LINE_LASTS / 2; i++)
		if (i < count)
			found += (last[i] - key) >> 63;
	return found;
}

/* How many of the first `count` codes are CODE_LONG. */
static __always_inline __u32 longs_before(__u32 codes, __u32 count)
{
	__u32 ones = codes & codes >> 1 & 0x55555555 & ((1 << (count * CODE_BITS)) - 1);

	ones = (ones & 0x33333333) + (ones >> 2 & 0x33333333);
	ones = (ones + (ones >> 4)) & 0x0f0f0f0f;
	return ones * 0x01010101 >> 24;
}

/* Class by an entry that leads to lines. */
static __always_inline int class_of_lines(__u32 slot, const struct found_root *found, __u64 rest,
					  __u64 high, __u64 low)
{
	__u32 index = found->root->first, at, code;
	const struct line *line;
	__u64 key = rest >> 32;

	asm volatile("" : "+r"(key));
	if (found->root->count != ROOT_LINES + 1)
		index += below(wide_of(found)->last, WIDE_LASTS, key);
	line = line_at(slot, index);
	if (!line)
		return -1;
	/* One branch spares half of the work. */
	if (line->last[LINE_LASTS / 2 - 1] < key)
		at = LINE_LASTS / 2 + below(&line->last[LINE_LASTS / 2], LINE_LASTS / 2, key);
	else
		at = below(line->last, LINE_LASTS / 2 - 1, key);
	code = line->codes >> (at * CODE_BITS) & CODE_LONG;
	if (code == CODE_LONG)
		return class_of_long(slot, line->longs + longs_before(line->codes, at), 1, high,
				     low);
	return line->classes[code];
}

/* Class by an entry that is not a node. */
static __always_inline int class_of_entry(__u32 slot, const struct found_root *found, __u64 rest,
					  __u64 high, __u64 low)
{
	const struct root *entry = found->root;

	if (entry->count & ROOT_LINES)
		return class_of_lines(slot, found, rest, high, low);
	if (entry->count == 0)
		return entry->first & 0xffff;
	return class_of_long(slot, entry->first, entry->count, high, low);
}

/*
 * Place of a node's entry for `rest`, the bits of an address that no node above
 * it has looked at; takes those that it looks at away.
 */
static __always_inline __u32 place_below(const struct root *node, __u64 *rest)
{
	__u32 width = node->count & NODE_WIDTH, skip = node->count >> NODE_SKIP & NODE_SKIPPED;
	__u32 common = node->count >> NODE_COMMON & 0xffff;
	__u32 wide = node->count >> NODE_WIDE_SHIFT & NODE_WIDE_PLACES;
	__u32 skipped = (*rest >> 48) >> (16 - skip), first = NODES + node->first;
	__u64 divided = *rest << skip;

	*rest = divided << width;
	if (skipped != common)
		return first + (1 << width << wide) + (skipped > common);
	return first + (__u32)((divided >> 32) >> (32 - width) << wide);
}

/* Bits of an address that a node looks at. */
static __always_inline __u32 bits_of(const struct root *node)
{
	return (node->count >> NODE_SKIP & NODE_SKIPPED) + (node->count & NODE_WIDTH);
}

/*
 * From the node at a place down to the entry that is none: its place, and above
 * 32 bits how many bits of an address the nodes look at. A global function, so that the
 * verifier looks at its loop once; it calls none, because old kernels add up the
 * stacks of all that are under way.
 */
__noinline __u64 deep_place(__u32 slot, __u32 place, __u64 rest)
{
	__u32 base = (slot & 1) * capacity.roots;
	struct found_root found;
	__u64 bits = 0;

	for (int level = NEAR_LEVELS; level < NODE_LEVELS6; level++) {
		if (!find_root(&found, base, place) || !(found.root->count & ROOT_NODE))
			break;
		bits += bits_of(found.root);
		place = place_below(found.root, &rest);
	}
	return bits << 32 | place;
}

static __always_inline int class_of_ipv6(__u32 slot, const __u32 *address)
{
	__u64 high = (__u64)address[0] << 32 | address[1];
	__u64 low = (__u64)address[2] << 32 | address[3];
	__u32 base = slot * capacity.roots;
	__u64 rest = high << 16;
	struct found_root found;

	if (!find_root(&found, base, ROOTS6 + (high >> 48)))
		return -1;
#pragma clang loop unroll(full)
	for (int level = 0; level < NEAR_LEVELS; level++) {
		if (!(found.root->count & ROOT_NODE))
			break;
		if (!find_root(&found, base, place_below(found.root, &rest)))
			return -1;
	}
	if (found.root->count & ROOT_NODE) {
		__u64 deep = deep_place(slot, found.place, rest);

		if (!find_root(&found, base, deep))
			return -1;
		rest <<= deep >> 32 & 63;
	}
	return class_of_entry(slot, &found, rest, high, low);
}

#endif
