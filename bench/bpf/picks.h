/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Addresses to classify, one after the other, so that a test run that repeats
 * one packet meets another address each time. Host order, four words each for
 * IPv6 and one for IPv4.
 */
#ifndef CGFW_PICKS_H
#define CGFW_PICKS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define PICKS_WORDS (1 << 21)
#define PICKS_BLOCK 1024

struct picks_block { __u32 word[PICKS_BLOCK]; };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PICKS_WORDS / PICKS_BLOCK);
	__type(key, __u32);
	__type(value, struct picks_block);
} picks SEC(".maps");

/* Test runs of one object do not overlap. */
__u32 cursor;

/* The next `words` words, a divisor of PICKS_BLOCK; NULL never happens. */
static __always_inline const __u32 *pick(__u32 words)
{
	__u32 at = cursor & (PICKS_WORDS - 1), block = at / PICKS_BLOCK;
	const struct picks_block *found = bpf_map_lookup_elem(&picks, &block);

	cursor = at + words;
	if (!found)
		return NULL;
	at &= PICKS_BLOCK - words;
	asm volatile("" : "+r"(at));
	return &found->word[at];
}

#endif
