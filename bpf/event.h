/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Counting and logging of decisions. Waking a reader costs the sender of a
 * packet thousands of nanoseconds, so records are submitted without a wake-up
 * and read on a timer. One wake-up is forced when the ring becomes half full,
 * and one when the reader has lain down because nothing came.
 */
#ifndef CGFW_EVENT_H
#define CGFW_EVENT_H

#include "maps.h"
#include "packet.h"

#define NS_PER_SECOND 1000000000ULL
#define RING_HEADER 8

/* A rule that has decided. */
struct verdict {
	__u32 rule;		/* absolute index in rules */
	__u32 counter;
	__u8 action;
	__u8 log;
	__u8 audit;
	__u8 is_new;		/* first packet of a flow */
};

static __always_inline void count(__u32 index, __u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &index);

	if (!counter)
		return;
	counter->packets += 1;
	counter->bytes += bytes;
}

static __always_inline int wants_event(const struct verdict *verdict)
{
	if (verdict->log == LOG_ALL)
		return 1;
	if (verdict->action != ACTION_ALLOW)
		return verdict->log >= LOG_DENIED;
	return verdict->is_new && verdict->log >= LOG_NEW;
}

/* 1 when the rule has used up its events of this second. `all` is never limited. */
static __always_inline int is_limited(const struct verdict *verdict, __u32 rate, __u64 now_ns)
{
	struct limit *limit;
	__u64 second = now_ns / NS_PER_SECOND;

	if (!rate || verdict->log == LOG_ALL)
		return 0;
	limit = bpf_map_lookup_elem(&limits, &verdict->counter);
	if (!limit)
		return 0;
	if (limit->second != second) {
		limit->second = second;
		limit->used = 0;
	}
	if (limit->used < rate) {
		limit->used++;
		return 0;
	}
	limit->suppressed++;
	count_fault(FAULT_SUPPRESSED);
	return 1;
}

/*
 * A zeroed record with the fields that every hook has, or NULL when the event
 * is over its rate or the ring is full; both are counted.
 */
static __always_inline struct event *reserve_event(const struct verdict *verdict,
						   const struct control *head, __u64 generation)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct event *event;

	if (is_limited(verdict, head->event_rate, now_ns))
		return NULL;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_fault(FAULT_LOST);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now_ns;
	event->generation = generation;
	event->rule = verdict->rule;
	event->action = verdict->action;
	event->audit = verdict->audit;
	return event;
}

/*
 * The word is read after the record was committed, and the reader looks at the
 * ring after it has set the word: one of the two sees the other. Two CPUs may
 * both wake it, which does no harm; an atomic exchange needs Linux 5.12. A
 * submitted record cannot wake later, so an empty one does.
 */
static __always_inline void wake_sleeper(const struct control *head)
{
	volatile __u64 *asleep = (volatile __u64 *)&head->asleep;
	void *nothing;

	if (!*asleep)
		return;
	*asleep = 0;
	nothing = bpf_ringbuf_reserve(&events, sizeof(__u64), 0);
	/* No room: the ring was half full before, and that woke the reader. */
	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void submit_event(struct event *event, const struct control *head)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (waiting >= head->ring_half &&
	    waiting < head->ring_half + 2 * (sizeof(*event) + RING_HEADER))
		flags = BPF_RB_FORCE_WAKEUP;
	count_fault(FAULT_EMITTED);
	bpf_ringbuf_submit(event, flags);
	wake_sleeper(head);
}

static __always_inline void describe_packet(struct event *event, const struct packet *packet)
{
	event->length = packet->length;
	event->source_port = packet->source_port;
	event->destination_port = packet->destination_port;
	event->family = packet->family;
	event->protocol = packet->protocol;
	__builtin_memcpy(event->source, packet->source, sizeof(event->source));
	__builtin_memcpy(event->destination, packet->destination, sizeof(event->destination));
}

#endif
