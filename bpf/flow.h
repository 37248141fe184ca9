/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Who began a conversation. Rules decide who may start one; its packets in the
 * other direction are judged by the rules of the direction in which it began,
 * each time anew, so that a changed rule stops it.
 *
 * TCP: noted in socket storage at the SYN and inherited by accepted sockets. A
 * socket that nobody saw begin is adopted: either direction's rules will do.
 * For UDP and ICMP echo see exchange.h.
 */
#ifndef CGFW_FLOW_H
#define CGFW_FLOW_H

#include "decide.h"
#include "packet.h"

static __always_inline __u32 starter_of(__u32 direction)
{
	return direction == EGRESS ? STARTED_EGRESS : STARTED_INGRESS;
}

static __always_inline const __u32 *remote_of(const struct packet *packet, __u32 direction)
{
	return direction == EGRESS ? packet->destination : packet->source;
}

/* A SYN begins a connection for this socket; a raw socket begins none. */
static __always_inline void note_starter(struct bpf_sock *sk, __u32 starter)
{
	struct socket_flow *flow;

	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->type != SOCK_STREAM)
		return;
	flow = bpf_sk_storage_get(&flows, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (flow)
		flow->starter = starter;
	else
		count_fault(FAULT_FLOW);
}

/* The socket says it: raw ones send TCP too, and a packet may be unreadable. */
static __always_inline int is_stream(struct bpf_sock *sk)
{
	if (sk)
		sk = bpf_sk_fullsock(sk);
	return sk && sk->type == SOCK_STREAM;
}

/* enum starter of a TCP packet. Where it is not known, see may_answer. */
static __always_inline __u32 tcp_starter(struct bpf_sock *sk, const struct packet *packet,
					 __u32 direction)
{
	struct socket_flow *flow;

	/* A SYN that comes to a connected socket is forged or stray: it begins nothing. */
	if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	    (direction == EGRESS || sk->state == BPF_TCP_LISTEN)) {
		note_starter(sk, starter_of(direction));
		return starter_of(direction);
	}
	flow = bpf_sk_storage_get(&flows, sk, NULL, 0);
	if (flow && flow->starter)
		return flow->starter;
	/* The last ACK of a handshake is still addressed to the listener. */
	if (sk->state == BPF_TCP_LISTEN)
		return STARTED_INGRESS;
	if (packet->tcp_flags & TCP_SYN)
		return starter_of(is_stream(sk) ? !direction : direction);
	return STARTED_UNKNOWN;
}

/* Whether a packet may claim the other direction's rules. Whatever a raw socket sends, it answers nothing. */
static __always_inline int may_answer(struct bpf_sock *sk, __u32 starter, __u32 direction)
{
	return starter == STARTED_UNKNOWN ? is_stream(sk) : starter != starter_of(direction);
}

#endif
