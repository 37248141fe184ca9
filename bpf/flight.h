/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Whether a message may be on its way into the queue of a socket. The kernel lets go of
 * the sender's lock between the program that redirects a message and the queue, but
 * holds on to the receiving socket meanwhile. So nothing is on its way when nobody has
 * the sender's lock, and all that holds on to the receiver is known.
 *
 * Only sure for a receiver whose lock the caller is under, and after the sender has
 * been told to redirect no more: see mark_passed() and note_sender().
 */
#ifndef CGFW_FLIGHT_H
#define CGFW_FLIGHT_H

#include "kernel_types.h"
#include <bpf/bpf_core_read.h>

static __always_inline int is_owned(__u64 socket)
{
	const struct sock *sk = (const struct sock *)socket;
	int owned = 1;

	BPF_CORE_READ_INTO(&owned, sk, sk_lock.owned);
	return owned != 0;
}

/* A timer that is set holds on to its socket. */
#define IS_SET(object, timer)                                                                      \
	({                                                                                         \
		struct hlist_node **pprev = NULL;                                                  \
		if (bpf_core_field_exists((object)->timer))                                        \
			BPF_CORE_READ_INTO(&pprev, object, timer.entry.pprev);                     \
		pprev != NULL;                                                                     \
	})

/*
 * Its owner, the table, its timers, and the packet at hand, unless that comes from the
 * backlog of the task that has the lock. Anything more, known or not, may be a message.
 */
static __always_inline int is_held_by_more(__u64 socket)
{
	const struct sock *sk = (const struct sock *)socket;
	const struct tcp_sock *tcp = (const struct tcp_sock *)socket;
	int known = 2, holds = 0;

	known += IS_SET(sk, sk_timer);
	known += IS_SET(tcp, inet_conn.icsk_retransmit_timer);
	known += IS_SET(tcp, inet_conn.icsk_delack_timer);
	known += !is_owned(socket);
	BPF_CORE_READ_INTO(&holds, sk, __sk_common.skc_refcnt.refs.counter);
	return holds != known;
}

/* `order` is anything of the caller's: an atomic access keeps the looks apart. */
static __always_inline int is_in_flight(__u64 sender, __u64 receiver, __u64 *order)
{
	if (is_owned(sender))
		return 1;
	__sync_fetch_and_add(order, 0);
	if (is_held_by_more(receiver))
		return 1;
	__sync_fetch_and_add(order, 0);
	return 0;
}

#endif
