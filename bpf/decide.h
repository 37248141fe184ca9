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
#define SEARCH6_STEPS 21

/* Ranges that are found with one look at their table. */
#define BLOCK_RANGES4 (BLOCK_SIZE / sizeof(__u32))

/* Levels of nodes that are looked through in place; few addresses go deeper. */
#define NEAR_LEVELS 3

/*
 * Entry at a byte offset below BLOCK_SIZE in one block of a table. The empty asm
 * keeps the addition behind the check: clang would move it up, where the
 * verifier still sees a pointer that may be null.
 */
static __always_inline const void *entry_at(void *table, __u32 block, __u64 offset)
{
	const __u8 *start = bpf_map_lookup_elem(table, &block);

	if (!start)
		return NULL;
	asm volatile("" : "+r"(offset));
	return start + offset;
}

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
