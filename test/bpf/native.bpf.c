/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* One program or map of each kind that the addon's tests need. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile __u32 factor = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} words SEC(".maps");

struct pair {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 20000);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10000);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} owners SEC(".maps");

struct request {
	__u64 count;	/* 64 bits: an inlined bpf_loop compares the whole register */
	__u64 flags;
	__u64 first;
	__u64 discard;	/* 1: every third record is given up */
	__u64 emitted;
};

struct record {
	__u64 number;
	__u64 square;
};

static long emit_one(__u32 i, struct request *request)
{
	struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return 1;
	record->number = request->first + i;
	record->square = record->number * record->number;
	if (request->discard && i % 3 == 2)
		bpf_ringbuf_discard(record, request->flags);
	else
		bpf_ringbuf_submit(record, request->flags);
	request->emitted++;
	return 0;
}

SEC("syscall")
int emit(struct request *context)
{
	/* A loop callback may not write to the context. */
	struct request request = *context;

	bpf_loop(request.count, emit_one, &request, 0);
	context->emitted = request.emitted;
	return 7;
}

struct sum {
	__u32 a;
	__u32 b;
	__u64 result;
};

SEC("syscall")
int add(struct sum *sum)
{
	sum->result = ((__u64)sum->a + sum->b) * factor;
	return 0;
}

SEC("cgroup_skb/egress")
int count_egress(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);

	if (pair) {
		pair->packets++;
		pair->bytes += skb->len;
	}
	return 1;
}

SEC("cgroup_skb/egress")
int deny_egress(struct __sk_buff *skb)
{
	return 0;
}

SEC("cgroup_skb/ingress")
int use_owner(struct __sk_buff *skb)
{
	__u64 *owner = bpf_get_local_storage(&owners, 0);

	return *owner != 1;
}

SEC("cgroup/connect4")
int allow_connect4(struct bpf_sock_addr *address)
{
	return 1;
}

SEC("xdp")
int shorten(struct xdp_md *context)
{
	return bpf_xdp_adjust_tail(context, -4) ? XDP_ABORTED : XDP_PASS;
}
