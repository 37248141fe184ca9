/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The maps that all programs share. User space creates them with the first
 * object and hands them to the others; sizes given here are replaced at load.
 */
#ifndef CGFW_MAPS_H
#define CGFW_MAPS_H

#include "abi.h"

/* Blocks in a slot; known to the verifier once the object is loaded. */
const volatile struct capacity capacity = {
	.roots = 260, .ranges4 = 1, .ranges6 = 1, .cells = 1,
	.services = 97, .rules = 1, .policies = 1, .text = 1,
};

struct roots_block { struct root entry[BLOCK_SIZE / sizeof(struct root)]; };
struct ranges4_block { __u32 entry[BLOCK_SIZE / sizeof(__u32)]; };
struct ranges6_block { struct range6 entry[BLOCK_SIZE / sizeof(struct range6)]; };
struct words_block { __u16 entry[BLOCK_SIZE / sizeof(__u16)]; };
struct rules_block { struct rule entry[BLOCK_SIZE / sizeof(struct rule)]; };
struct text_block { __u8 byte[BLOCK_SIZE]; };

#define TABLE(name, element)                        \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_ARRAY);   \
		__uint(map_flags, BPF_F_MMAPABLE);  \
		__uint(max_entries, 2);             \
		__type(key, __u32);                 \
		__type(value, element);             \
	} name SEC(".maps")

TABLE(control, struct control);
TABLE(roots, struct roots_block);
TABLE(ranges4, struct ranges4_block);
TABLE(ranges6, struct ranges6_block);
TABLE(cells, struct words_block);
TABLE(services, struct words_block);
TABLE(rules, struct rules_block);
TABLE(policies, struct policy);
TABLE(text, struct text_block);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FAULT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} faults SEC(".maps");

/* Who owns a cgroup, by slot. Keyed by cgroup alone: all hooks see one entry. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct owner);
} owners SEC(".maps");

/* Who owns an interface, by slot; user space writes it through its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, INTERFACES);
	__type(key, __u32);
	__type(value, struct interface_owner);
} interfaces SEC(".maps");

/* struct flow of abi.h with its lock in the kernel's type. */
struct socket_flow {
	__u32 starter;
	__u32 pid;
	char comm[16];
	__u32 peer_address[4];
	__u16 peer_port;
	__u8 peer_protocol;
	__u8 peer_starter;
	struct bpf_spin_lock lock;
};
_Static_assert(sizeof(struct socket_flow) == sizeof(struct flow), "socket_flow");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_flow);
} flows SEC(".maps");

/* Of sockets in cgroups whose policy accelerates; see stream.h. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct stream);
} streams SEC(".maps");

/* Exchanges of sockets that talk to more than one peer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct peer_key);
	__type(value, __u32);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

static __always_inline void count_fault(__u32 fault)
{
	__u64 *count = bpf_map_lookup_elem(&faults, &fault);

	if (count)
		*count += 1;
}

#endif
