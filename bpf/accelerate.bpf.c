/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Hands the bytes of local TCP connections from socket to socket, past the TCP stack,
 * where the policies of both ends ask for that. Correct first: a connection is
 * redirected from its first byte on or never, and returns to TCP, for good, as soon
 * as anything is not as it should be. That order is safe: a socket reads what was
 * redirected before what came by TCP. The other would overtake what is under way.
 */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "flight.h"
#include "judge.h"
#include "queue.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define OK 1
#define REFUSE 0

/* From system headers that a BPF target cannot include. */
#define AF_INET 2
#define SOL_SOCKET 1
#define SOL_TCP 6
#define SO_ZEROCOPY 60
#define TCP_ULP 31
#define EEXIST 17
#define EOPNOTSUPP 95

/* What a socket in the table is followed by. */
#define CALLBACKS (BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG)

/* Reads all fields first: clang 14 else merges reads into a changed context pointer. */
static __always_inline void fill_key(struct end_key *key, struct bpf_sock_ops *context)
{
	__u32 family = context->family;
	__u32 local4 = context->local_ip4, remote4 = context->remote_ip4;
	__u32 local0 = context->local_ip6[0], local1 = context->local_ip6[1];
	__u32 local2 = context->local_ip6[2], local3 = context->local_ip6[3];
	__u32 remote0 = context->remote_ip6[0], remote1 = context->remote_ip6[1];
	__u32 remote2 = context->remote_ip6[2], remote3 = context->remote_ip6[3];

	__builtin_memset(key, 0, sizeof(*key));
	key->netns = bpf_get_netns_cookie(context);
	key->local_port = context->local_port;
	key->remote_port = bpf_ntohl(context->remote_port);
	if (family == AF_INET) {
		key->local[2] = V4_MAPPED;
		key->local[3] = bpf_ntohl(local4);
		key->remote[2] = V4_MAPPED;
		key->remote[3] = bpf_ntohl(remote4);
		return;
	}
	key->local[0] = bpf_ntohl(local0);
	key->local[1] = bpf_ntohl(local1);
	key->local[2] = bpf_ntohl(local2);
	key->local[3] = bpf_ntohl(local3);
	key->remote[0] = bpf_ntohl(remote0);
	key->remote[1] = bpf_ntohl(remote1);
	key->remote[2] = bpf_ntohl(remote2);
	key->remote[3] = bpf_ntohl(remote3);
}

static __always_inline void fill_peer(struct end_key *peer, const struct end_key *key)
{
	peer->netns = key->netns;
	for (int i = 0; i < 4; i++) {
		peer->local[i] = key->remote[i];
		peer->remote[i] = key->local[i];
	}
	peer->local_port = key->remote_port;
	peer->remote_port = key->local_port;
	peer->pad = 0;
}

/* Says that this end, still on its way to be connected, would be accelerated. */
static __always_inline void announce(const struct end_key *key)
{
	struct end end = { .state = END_ANNOUNCED };

	bpf_map_update_elem(&ends, key, &end, BPF_ANY);
}

/* A SYN has come from an end that is announced: then this one is too. */
static __always_inline void answer(struct bpf_sock_ops *context)
{
	struct end_key key, peer;

	fill_key(&key, context);
	fill_peer(&peer, &key);
	if (bpf_map_lookup_elem(&ends, &peer))
		announce(&key);
}

/*
 * The whole connection goes by TCP from here on: the other end sees it before it sends
 * again. Atomic: it is written before what the other end has done so far is read.
 */
static __always_inline void mark_passed(struct stream *stream)
{
	struct end *end = bpf_map_lookup_elem(&ends, &stream->own);

	stream->state = STREAM_PASSED;
	if (end)
		__sync_lock_test_and_set(&end->is_passed, 1);
}

static __always_inline void share(const struct stream *stream)
{
	struct end *end = bpf_map_lookup_elem(&ends, &stream->own);

	if (end)
		end->is_shared = 1;
}

static __always_inline void pass_on(struct stream *stream, __u32 reason)
{
	count_acceleration(reason, 1);
	mark_passed(stream);
}

/* It is not in the table, and stays with TCP. */
static __always_inline void exclude(struct stream *stream, __u32 reason)
{
	pass_on(stream, reason);
	stream->state = STREAM_EXCLUDED;
}

/* The policy of a socket's own cgroup, or of the nearest above it, accelerates. */
static __always_inline int is_wanted(const struct path *path)
{
	const struct policy *policy;
	__u32 index = 0;
	struct view view;

	if (!read_generation(&view) || !view.generation)
		return 0;
#pragma unroll
	for (int i = PATH_DEPTH - 1; i >= 0; i--)
		if (!index)
			index = policy_of(path->cgroup[i], view.slot);
	policy = index ? policy_at(view.slot, index) : NULL;
	return policy && policy->flags & POLICY_ACCELERATE;
}

/* Set before our programs were there to note it, perhaps on the listener. */
static __always_inline int has_zerocopy(const struct tcp_sock *tcp)
{
	const struct sock *sk = (const struct sock *)tcp;
	unsigned long flags = 0;

	BPF_CORE_READ_INTO(&flags, sk, __sk_common.skc_flags);
	return flags >> bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY) & 1;
}

/* 0 when the connection can be redirected from its first byte on, else why not. */
static __always_inline int refusal(struct bpf_sock_ops *context, const struct stream *stream,
				   const struct tcp_sock *tcp)
{
	/* The acknowledged SYN counts as a byte. */
	if (context->data_segs_in || context->data_segs_out || context->bytes_received ||
	    context->bytes_acked > 1)
		return PASSED_DATA;
	if (!stream->path.cgroup[0])
		return PASSED_DEEP;
	if (!is_wanted(&stream->path))
		return PASSED_OFF;
	if (has_zerocopy(tcp) || (bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp))
		return PASSED_OPTION;
	return 0;
}

static __always_inline int enter_table(struct bpf_sock_ops *context, struct stream *stream)
{
	long error = bpf_sock_hash_update(context, &sockets, &stream->own, BPF_NOEXIST);

	if (error == -EEXIST)
		return PASSED_TAKEN;
	return error ? PASSED_FULL : 0;
}

/*
 * Puts an established socket into the table, if the other end is local and
 * announced. With nested policies the program runs once for each level.
 */
static __always_inline void open_stream(struct bpf_sock_ops *context, __u32 starter)
{
	struct end end = { .state = END_OPEN };
	struct bpf_sock *sk = context->sk;
	struct stream *stream;
	struct tcp_sock *tcp;
	int reason;

	if (!sk)
		return;
	stream = bpf_sk_storage_get(&streams, sk, NULL, 0);
	if (!stream || stream->state != STREAM_NONE)
		return;
	fill_key(&stream->own, context);
	fill_peer(&stream->peer, &stream->own);
	if (!bpf_map_lookup_elem(&ends, &stream->peer))
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	reason = refusal(context, stream, tcp);
	if (reason)
		return exclude(stream, reason);
	stream->starter = starter;
	stream->sent = context->snd_nxt;
	stream->received = context->rcv_nxt;
	end.path = stream->path;
	end.socket = (__u64)tcp;
	end.sent = stream->sent;
	end.received = stream->received;
	/* Before the other end may find it: what has this key already is somebody else's. */
	reason = enter_table(context, stream);
	if (!reason && bpf_map_update_elem(&ends, &stream->own, &end, BPF_ANY)) {
		bpf_map_delete_elem(&sockets, &stream->own);
		reason = PASSED_FULL;
	}
	if (reason)
		return exclude(stream, reason);
	stream->state = STREAM_OPEN;
	bpf_sock_ops_cb_flags_set(context, context->bpf_sock_ops_cb_flags | CALLBACKS);
}

/* The end of this very connection, not of another between the same ports. */
static __always_inline int is_peer(const struct stream *stream, const struct end *other)
{
	return other->state == END_OPEN && other->sent == stream->received &&
	       other->received == stream->sent;
}

/*
 * Takes a socket that has returned to TCP out of the table, so that it is an ordinary
 * one again. What it has been handed and has not read would be lost: its queue has to
 * be empty, and the other end must not be about to add to it. That is sure when it has
 * never sent, when the only task that sends has itself seen the mark, or when nothing
 * can be on its way: whoever sends next sees the mark.
 */
static __always_inline void leave(struct stream *stream, struct bpf_sock *sk)
{
	struct end *other = bpf_map_lookup_elem(&ends, &stream->peer);
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!other || !tcp || !is_peer(stream, other))
		return;
	if (*(volatile const __u64 *)&other->has_sent && (!other->is_passed || other->is_shared) &&
	    is_in_flight(other->socket, (__u64)tcp, &stream->order))
		return;
	if (!is_queue_empty((__u64)tcp))
		return;
	bpf_map_delete_elem(&sockets, &stream->own);
	stream->state = STREAM_EXCLUDED;
}

/*
 * A socket that was disconnected, and connects elsewhere or listens: what it was handed
 * before and has not read is not for that, and goes as what TCP has in its queue. It
 * stays with TCP, as a task that still waits in it may hold on to the old queue.
 */
static __always_inline void begin_anew(struct bpf_sock_ops *context)
{
	struct bpf_sock *sk = context->sk;
	struct stream *stream;

	if (!sk)
		return;
	stream = bpf_sk_storage_get(&streams, sk, NULL, 0);
	if (!stream || stream->state == STREAM_NONE || stream->state == STREAM_EXCLUDED)
		return;
	bpf_map_delete_elem(&sockets, &stream->own);
	stream->state = STREAM_EXCLUDED;
}

/*
 * A task that waits for bytes in a socket of the table is told EAGAIN when it is woken
 * for anything else, and the acknowledgment of a FIN wakes it. So a connection that is
 * closed on one side returns to TCP; and one that has returned leaves the table at the
 * first acknowledgment that finds it ready to. So does a socket that is disconnected,
 * to be connected elsewhere perhaps.
 */
static __always_inline void follow(struct bpf_sock_ops *context, int is_closing)
{
	struct bpf_sock *sk = context->sk;
	struct stream *stream;

	if (!sk)
		return;
	stream = bpf_sk_storage_get(&streams, sk, NULL, 0);
	if (!stream)
		return;
	if (is_closing && (stream->state == STREAM_OPEN || stream->state == STREAM_REDIRECTED)) {
		/* Perhaps by another task than the one that sends. */
		share(stream);
		mark_passed(stream);
	}
	if (stream->state == STREAM_PASSED)
		leave(stream, sk);
}

SEC("sockops")
int sock_ops(struct bpf_sock_ops *context)
{
	struct end_key key;

	switch (context->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		begin_anew(context);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		begin_anew(context);
		fill_key(&key, context);
		announce(&key);
		break;
	case BPF_SOCK_OPS_RWND_INIT:
		/* Asked for a request at its SYN, and for a client, which has announced itself. */
		if (!context->is_fullsock)
			answer(context);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		open_stream(context, STARTED_EGRESS);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		open_stream(context, STARTED_INGRESS);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (context->args[1] == BPF_TCP_FIN_WAIT1 || context->args[1] == BPF_TCP_CLOSE)
			follow(context, 1);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		follow(context, 0);
		break;
	}
	return OK;
}

/* The other end as it described itself, when it is the other end of this very connection. */
static __always_inline const struct end *find_peer(const struct stream *stream)
{
	const struct end *other = bpf_map_lookup_elem(&ends, &stream->peer);

	return other && is_peer(stream, other) ? other : NULL;
}

/*
 * Who sends is noted before the other end's mark is read; see leave(). Atomic each time:
 * it is after the mark is read that this socket's lock is seen as free.
 */
static __always_inline void note_sender(struct stream *stream, struct end *own)
{
	__u32 task = bpf_get_current_pid_tgid();

	if (!stream->sender)
		stream->sender = task;
	else if (stream->sender != task)
		own->is_shared = 1;
	__sync_lock_test_and_set(&own->has_sent, 1);
}

/* 0 when a message may be redirected, else why not. */
static __always_inline int check_message(struct bpf_sock *sk, struct stream *stream, __u32 size)
{
	struct end *own = bpf_map_lookup_elem(&ends, &stream->own);
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	const struct end *other;
	struct view view;
	__u64 assigned;
	int reason;

	if (!own)
		return PASSED_FULL;
	note_sender(stream, own);
	/* Whatever has gone by TCP, by another task perhaps, would be overtaken. */
	if (!tcp || tcp->write_seq != stream->sent)
		return PASSED_DATA;
	other = find_peer(stream);
	if (!other)
		return PASSED_NO_PEER;
	if (*(volatile const __u64 *)&other->is_passed)
		return PASSED_WITH_PEER;
	if (!read_generation(&view))
		return PASSED_OFF;
	/* Before the owners are asked: one that changes meanwhile is asked again. */
	assigned = *(volatile const __u64 *)&view.head->assigned;
	if (stream->generation != view.generation || stream->assigned != assigned) {
		reason = judge_stream(stream, other, &view);
		if (reason)
			return reason;
		stream->generation = view.generation;
		stream->assigned = assigned;
		stream->peer_socket = other->socket;
	}
	return check_queue(stream, (__u64)tcp, size);
}

/* For the rules of all policies that allowed it, as one packet of so many bytes. */
static __always_inline void count_message(const struct stream *stream, __u32 size)
{
	for (int i = 0; i < JUDGES && i < stream->judges; i++) {
		struct counter *counter = bpf_map_lookup_elem(&counters, &stream->counter[i]);

		if (!counter)
			continue;
		__sync_fetch_and_add(&counter->packets, 1);
		__sync_fetch_and_add(&counter->bytes, size);
	}
	count_acceleration(ACCELERATED_MESSAGES, 1);
	count_acceleration(ACCELERATED_BYTES, size);
}

SEC("sk_msg")
int redirect(struct sk_msg_md *message)
{
	struct bpf_sock *sk = message->sk;
	__u32 size = message->size;
	struct stream *stream;
	int reason;

	if (!sk)
		return SK_PASS;
	stream = bpf_sk_storage_get(&streams, sk, NULL, 0);
	if (!stream || (stream->state != STREAM_OPEN && stream->state != STREAM_REDIRECTED))
		return SK_PASS;
	reason = check_message(sk, stream, size);
	/* On a miss the helper says SK_DROP, which would fail this send and all that follow. */
	if (!reason && bpf_msg_redirect_hash(message, &sockets, &stream->peer, BPF_F_INGRESS) !=
			       SK_PASS)
		reason = PASSED_NO_PEER;
	if (reason) {
		pass_on(stream, reason);
		return SK_PASS;
	}
	if (stream->state == STREAM_OPEN) {
		stream->state = STREAM_REDIRECTED;
		count_acceleration(ACCELERATED, 1);
	}
	count_message(stream, size);
	return SK_PASS;
}

/*
 * Options under which redirected bytes would not do what was asked for. A socket
 * that has one before it is connected stays with TCP; one that is accelerated is told
 * that it cannot have it, which is what programs expect of a system without it.
 */
SEC("cgroup/setsockopt")
int setsockopt(struct bpf_sockopt *context)
{
	__u32 is_zerocopy = context->level == SOL_SOCKET && context->optname == SO_ZEROCOPY;
	__u32 is_ulp = context->level == SOL_TCP && context->optname == TCP_ULP;
	struct bpf_sock *sk = context->sk;
	struct stream *stream;

	/* Of a value above a page we are given its beginning: 0 leaves the caller's as it is. */
	if (context->optlen > (long)context->optval_end - (long)context->optval)
		context->optlen = 0;
	if (!sk || !(is_zerocopy || is_ulp))
		return OK;
	stream = bpf_sk_storage_get(&streams, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!stream)
		return OK;
	if (stream->state == STREAM_NONE) {
		stream->state = STREAM_EXCLUDED;
		return OK;
	}
	if (stream->state == STREAM_EXCLUDED)
		return OK;
	bpf_set_retval(-EOPNOTSUPP);
	return REFUSE;
}
