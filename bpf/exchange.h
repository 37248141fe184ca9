/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Who began an exchange of datagrams, or of ICMP echo: noted for socket, remote
 * address and port (or echo id) by the first packet allowed by its own direction's
 * rules, where replies need it, and anew when the rules that allowed it do so no
 * longer. The first peer lives in socket storage, further ones in an LRU map.
 */
#ifndef CGFW_EXCHANGE_H
#define CGFW_EXCHANGE_H

#include "flow.h"

static __always_inline __u16 remote_port_of(const struct packet *packet, __u32 direction)
{
	if (packet->exchange != EXCHANGE_UDP)
		return packet->echo_id;
	return direction == EGRESS ? packet->destination_port : packet->source_port;
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

/* enum starter of an exchange with another peer than the first. */
static __always_inline __u32 noted_starter(const struct peer_key *key)
{
	__u32 *starter = bpf_map_lookup_elem(&peers, key);

	return starter ? *starter : STARTED_UNKNOWN;
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
static __noinline int claim_first_peer(struct socket_flow *flow, const struct packet *packet,
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
static __always_inline __u32 peer_starter(const struct socket_flow *flow,
					  const struct peer_key *key,
					  const struct packet *packet, __u32 direction)
{
	__u32 first = first_starter(flow, packet, direction);

	return first ? first : noted_starter(key);
}

/* Remembers in the map that an exchange began in this direction. */
static __always_inline void note_further_peer(const struct peer_key *key, __u32 direction)
{
	__u32 starter = starter_of(direction);

	if (bpf_map_update_elem(&peers, key, &starter, BPF_ANY))
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
