/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Who began a conversation. Rules decide who may start one; its packets in the
 * other direction are judged by the rules of the direction in which it began,
 * each time anew, so that a changed rule stops it.
 *
 * TCP: noted in socket storage at the SYN and inherited by accepted sockets. A
 * socket that nobody saw begin is adopted: either direction's rules will do.
 * UDP and ICMP echo: noted for socket, remote address and port (or echo id) by
 * the first packet allowed by its own direction's rules, and anew when the
 * rules that allowed it do so no longer. The first peer lives in socket
 * storage, further ones in an LRU map.
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

static __always_inline __u16 remote_port_of(const struct packet *packet, __u32 direction)
{
	if (packet->exchange != EXCHANGE_UDP)
		return packet->echo_id;
	return direction == EGRESS ? packet->destination_port : packet->source_port;
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

static __always_inline void fill_peer_key(struct peer_key *key, struct __sk_buff *skb,
					  const struct packet *packet, __u32 direction)
{
	const __u32 *remote = remote_of(packet, direction);

	key->cookie = bpf_get_socket_cookie(skb);
	for (int i = 0; i < 4; i++)
		key->address[i] = remote[i];
	key->port = remote_port_of(packet, direction);
	key->protocol = packet->protocol;
}

static __always_inline int is_first_peer(const struct socket_flow *flow,
					 const struct packet *packet, __u32 direction)
{
	const __u32 *remote = remote_of(packet, direction);

	return flow->peer_starter && flow->peer_protocol == packet->protocol &&
	       flow->peer_port == remote_port_of(packet, direction) &&
	       flow->peer_address[0] == remote[0] && flow->peer_address[1] == remote[1] &&
	       flow->peer_address[2] == remote[2] && flow->peer_address[3] == remote[3];
}

/* Takes the place for the first peer; 0 when another peer already has it. */
static __always_inline int claim_first_peer(struct socket_flow *flow, const struct packet *packet,
					    __u32 direction)
{
	__u32 remote[4], starter = starter_of(direction);
	__u16 port = remote_port_of(packet, direction);
	__u8 protocol = packet->protocol;
	int is_free;

	for (int i = 0; i < 4; i++)
		remote[i] = remote_of(packet, direction)[i];
	bpf_spin_lock(&flow->lock);
	is_free = !flow->peer_starter;
	if (is_free) {
		flow->peer_address[0] = remote[0];
		flow->peer_address[1] = remote[1];
		flow->peer_address[2] = remote[2];
		flow->peer_address[3] = remote[3];
		flow->peer_port = port;
		flow->peer_protocol = protocol;
		flow->peer_starter = starter;
	}
	bpf_spin_unlock(&flow->lock);
	return is_free;
}

/* enum starter of an exchange with the socket's first peer; STARTED_UNKNOWN with another. */
static __always_inline __u32 first_starter(const struct socket_flow *flow,
					   const struct packet *packet, __u32 direction)
{
	return flow && is_first_peer(flow, packet, direction) ? flow->peer_starter :
								STARTED_UNKNOWN;
}

/* enum starter of an exchange with any peer. */
static __always_inline __u32 peer_starter(struct __sk_buff *skb, const struct socket_flow *flow,
					  const struct packet *packet, __u32 direction)
{
	__u32 first = first_starter(flow, packet, direction), *starter;
	struct peer_key key = {};

	if (first)
		return first;
	fill_peer_key(&key, skb, packet, direction);
	starter = bpf_map_lookup_elem(&peers, &key);
	return starter ? *starter : STARTED_UNKNOWN;
}

/* Remembers in the map that an exchange began in this direction. */
static __always_inline void note_further_peer(struct __sk_buff *skb, const struct packet *packet,
					      __u32 direction)
{
	__u32 starter = starter_of(direction);
	struct peer_key key = {};

	fill_peer_key(&key, skb, packet, direction);
	if (bpf_map_update_elem(&peers, &key, &starter, BPF_ANY))
		count_fault(FAULT_PEER);
}

/*
 * Remembers in socket storage that an exchange began in this direction; 0 when
 * the place belongs to another peer.
 */
static __always_inline int note_first_peer(struct socket_flow *flow, const struct packet *packet,
					   __u32 direction)
{
	if (is_first_peer(flow, packet, direction)) {
		flow->peer_starter = starter_of(direction);
		return 1;
	}
	return !flow->peer_starter && claim_first_peer(flow, packet, direction);
}

#endif
