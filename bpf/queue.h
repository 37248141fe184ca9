/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * How much a socket has been handed and not read. Redirected bytes know no window: the
 * kernel queues them without a bound. So the sender's program looks at the queue of the
 * other end now and then, and leaves the rest to TCP when it is too long.
 *
 * The looks go by address, without a lock and without a hold on the socket, which may
 * be gone: what they find is a hint. The worst that a wrong one does is a connection
 * that goes by TCP.
 */
#ifndef CGFW_QUEUE_H
#define CGFW_QUEUE_H

#include "kernel_types.h"
#include <bpf/bpf_core_read.h>

/* Bytes that a message takes beside its own, roughly: struct sk_msg. */
#define MESSAGE_CHARGE 1024
/* Bytes redirected between two looks. */
#define LOOK_EVERY (256 << 10)
/*
 * A stream of messages below this size gains nothing: TCP hands them over several at a
 * time. It shows in a queue that is not empty at so many looks.
 */
#define SMALL_MESSAGE (32 << 10)
#define SMALL_LOOKS 3
/* Bytes waiting at which a connection returns to TCP. */
#define BACKLOG_LIMIT (16ULL << 20)
/* Bytes waiting at which the sender is held up, and for how long at the most, and how often. */
#define BACKLOG_PAUSE (4ULL << 20)
#define PAUSE_NS 100000
#define PAUSE_LOOKS 64
/* How many that wait on a socket are looked at. */
#define SLEEPERS 4

/* The kernel keeps flags in the low bits of sk_user_data. */
#define USER_DATA_FLAGS 7ULL

/*
 * A walk along the queue of a socket. The sum is kept in the stream, whose values the
 * verifier does not follow: it would else look at each step anew.
 */
struct walk {
	const struct list_head *head;
	struct list_head *node;
	struct stream *stream;
};

/* One message further; 1 ends the walk. */
static long step(__u32 index, struct walk *walk)
{
	struct list_head *node = walk->node;
	struct sk_msg *message;
	__u32 size = 0;

	if (!node || node == walk->head)
		return 1;
	message = (void *)node - bpf_core_field_offset(struct sk_msg, list);
	BPF_CORE_READ_INTO(&size, message, sg.size);
	walk->stream->waiting += size + MESSAGE_CHARGE;
	if (walk->stream->waiting > BACKLOG_LIMIT)
		return 1;
	BPF_CORE_READ_INTO(&node, node, next);
	walk->node = node;
	return 0;
}

static __always_inline struct sk_psock *psock_of(__u64 socket)
{
	const struct sock *sk = (const struct sock *)socket;
	void *data = NULL;

	BPF_CORE_READ_INTO(&data, sk, sk_user_data);
	return (struct sk_psock *)((__u64)data & ~USER_DATA_FLAGS);
}

static __always_inline int is_queue_empty(__u64 socket)
{
	struct sk_psock *psock = psock_of(socket);
	struct list_head *first = NULL;

	if (!psock)
		return 0;
	BPF_CORE_READ_INTO(&first, psock, ingress_msg.next);
	return first == __builtin_preserve_access_index(&psock->ingress_msg);
}

/* Bytes that the other end has been handed and has not read, as far as the limit. */
static __always_inline void look(struct stream *stream)
{
	struct sk_psock *psock = psock_of(stream->peer_socket);
	struct walk walk = { .stream = stream };
	struct list_head *first = NULL;

	stream->waiting = 0;
	if (!psock)
		return;
	walk.head = __builtin_preserve_access_index(&psock->ingress_msg);
	BPF_CORE_READ_INTO(&first, psock, ingress_msg.next);
	walk.node = first;
	bpf_loop(BACKLOG_LIMIT / MESSAGE_CHARGE, step, &walk, 0);
}

/*
 * Gives a reader on another CPU the time to catch up. A program cannot sleep, and a
 * sender that is never held up runs ahead of its reader until it must go by TCP.
 */
static __always_inline void await_reader(struct stream *stream)
{
	__u64 begin = bpf_ktime_get_ns();

	for (int i = 0; i < PAUSE_LOOKS && stream->waiting > BACKLOG_PAUSE &&
			bpf_ktime_get_ns() - begin < PAUSE_NS; i++)
		look(stream);
}

/*
 * A task waits on a socket, in recv() perhaps: whoever waits there while the socket is
 * in the table is told EAGAIN when TCP has room again for a send that it held up. What
 * epoll waits with has no task.
 */
static __always_inline int has_sleeper(__u64 socket)
{
	const struct sock *sk = (const struct sock *)socket;
	struct list_head *head = NULL, *node = NULL;
	struct wait_queue_entry *entry;
	struct socket_wq *wait = NULL;
	void *task;

	BPF_CORE_READ_INTO(&wait, sk, sk_wq_raw);
	if (!wait)
		return 0;
	head = __builtin_preserve_access_index(&wait->wait.head);
	BPF_CORE_READ_INTO(&node, head, next);
	for (int i = 0; i < SLEEPERS && node && node != head; i++) {
		entry = (void *)node - bpf_core_field_offset(struct wait_queue_entry, entry);
		task = NULL;
		BPF_CORE_READ_INTO(&task, entry, private);
		if (task)
			return 1;
		BPF_CORE_READ_INTO(&node, node, next);
	}
	return 0;
}

/* 0 when a message of this size may be handed over, else why it better is not. */
static __always_inline int check_queue(struct stream *stream, __u64 own, __u32 size)
{
	__u32 is_small;

	stream->charge += size + MESSAGE_CHARGE;
	stream->messages++;
	if (stream->charge < LOOK_EVERY)
		return 0;
	is_small = stream->charge / stream->messages < SMALL_MESSAGE;
	stream->charge = 0;
	stream->messages = 0;
	look(stream);
	if (!is_small)
		await_reader(stream);
	if (stream->waiting > BACKLOG_LIMIT)
		return PASSED_BACKLOG;
	stream->small_looks = is_small && stream->waiting ? stream->small_looks + 1 : 0;
	return stream->small_looks >= SMALL_LOOKS && !has_sleeper(own) ? PASSED_SMALL : 0;
}

#endif
