/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Entries of the tables: blocks of one element each, the slots one behind the other. */
#ifndef CGFW_TABLE_H
#define CGFW_TABLE_H

#include "maps.h"

/* log2 of the entries in a block. */
#define ROOT_SHIFT 9
#define WORD_SHIFT 11
#define RULE_SHIFT 9

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

static __always_inline const struct root *root_at(__u32 slot, __u32 index)
{
	return entry_at(&roots, slot * capacity.roots + (index >> ROOT_SHIFT),
			(index & ((1 << ROOT_SHIFT) - 1)) * sizeof(struct root));
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

#endif
