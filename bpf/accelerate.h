/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Maps of acceleration. They are made when the first policy asks for it. */
#ifndef CGFW_ACCELERATE_H
#define CGFW_ACCELERATE_H

#include "maps.h"

/* Sockets whose bytes may be redirected. A closed socket leaves by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, struct end_key);
	__type(value, __u64);
} sockets SEC(".maps");

/* What the two ends of a connection know of each other, by the key of the one that says it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct end_key);
	__type(value, struct end);
} ends SEC(".maps");

/* The owners map by cgroup id: a message has no cgroup to be asked for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MEMBERS);
	__type(key, __u64);
	__type(value, struct owner);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ACCELERATION_MAX);
	__type(key, __u32);
	__type(value, __u64);
} acceleration SEC(".maps");

/* Atomic: a message is counted by a task, which an interrupt may come upon. */
static __always_inline void count_acceleration(__u32 what, __u64 amount)
{
	__u64 *count = bpf_map_lookup_elem(&acceleration, &what);

	if (count)
		__sync_fetch_and_add(count, amount);
}

#endif
