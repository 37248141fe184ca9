/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The quick way of a packet, which nearly every packet goes: read from fixed
 * places, allowed, and not to be logged. Between two packets the rest of the kernel
 * takes the caches, so what counts is how few helpers are called and how few lines
 * of memory are looked at: who began a conversation is asked only where the two
 * directions do not agree, and the class of an address serves both. Nothing is
 * written but the counter of the rule: whatever turns out to be anything else is
 * judged by the whole way, from the start.
 */
#ifndef CGFW_QUICK_H
#define CGFW_QUICK_H

#include "event.h"
#include "exchange.h"
#include "places.h"
#include "view.h"

/* Where net.ipv4.ip_local_port_range begins by default. Only speed depends on it. */
#define EPHEMERAL_PORT 32768

/* The rule of a direction for a class of addresses; NULL when the tables are damaged. */
static __always_inline const struct rule *rule_of(const struct view *view,
						  const struct direction *rules, int class,
						  __u32 point)
{
	return rule_at(view->slot,
		       rules->rule_base + decide_class(view->slot, rules, class, point));
}

static __always_inline int is_peer(const struct socket_flow *flow, const struct places *places,
				   __be16 port)
{
	for (int i = 0; i < 4; i++) {
		if (flow->peer_address[i] != remote_word(places, i))
			return 0;
	}
	return flow->peer_starter && flow->peer_port == bpf_ntohs(port) &&
	       flow->peer_protocol == places->protocol;
}

/* enum starter of an exchange by UDP. */
static __always_inline __u32 datagram_starter(struct __sk_buff *skb, struct socket_flow *flow,
					      const struct places *places, __u32 direction)
{
	__be16 port = places->ports[direction == EGRESS];
	struct peer_key key = { .port = bpf_ntohs(port), .protocol = places->protocol };

	if (flow && is_peer(flow, places, port))
		return flow->peer_starter;
	key.cookie = bpf_get_socket_cookie(skb);
	for (int i = 0; i < 4; i++)
		key.address[i] = remote_word(places, i);
	return noted_starter(&key);
}

/* enum starter, as far as the quick way can tell. */
static __always_inline __u32 quick_starter(struct __sk_buff *skb, const struct places *places,
					   __u32 direction)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_flow *flow;

	if (!sk)
		return STARTED_UNKNOWN;
	flow = bpf_sk_storage_get(&flows, sk, NULL, 0);
	if (places->protocol != IPPROTO_TCP)
		return datagram_starter(skb, flow, places, direction);
	if (flow && flow->starter)
		return flow->starter;
	/* Adopted: what its own direction allows passes, whoever began. */
	return sk->state == BPF_TCP_LISTEN ? STARTED_UNKNOWN : starter_of(direction);
}

static __always_inline int is_quiet(const struct rule *rule)
{
	return rule->log <= LOG_DENIED;
}

/* The rule that allows a packet, and counts it; NULL when the whole way has to find it. */
static __always_inline const struct rule *
allowing_rule(struct __sk_buff *skb, const struct view *view, const struct places *places,
	      __u32 direction)
{
	const struct direction *own = &view->policy->direction[direction];
	const struct direction *other = &view->policy->direction[!direction];
	const struct rule *rule, *reply_rule;
	__u32 address[4], is_allowed, starter;
	int class;

	for (int i = 0; i < 4; i++)
		address[i] = remote_word(places, i);
	class = classify(view->slot, own->flags & other->flags, places->family, address);
	rule = rule_of(view, own, class, point_of(places, 1));
	if (!rule)
		return NULL;
	is_allowed = rule->action == ACTION_ALLOW;
	if (is_allowed && !is_quiet(rule))
		return NULL;
	if (is_allowed && other->flags & DIRECTION_OPEN)
		return rule;
	/* To ask the rules would be in vain: hardly one allows replies to such a port. */
	if (is_allowed && other->flags & DIRECTION_CLOSED &&
	    bpf_ntohs(places->ports[0]) >= EPHEMERAL_PORT &&
	    quick_starter(skb, places, direction) == starter_of(direction))
		return rule;
	reply_rule = rule_of(view, other, class, point_of(places, 0));
	if (!reply_rule)
		return NULL;
	if (reply_rule->action == ACTION_ALLOW && is_quiet(reply_rule)) {
		if (is_allowed)
			return rule;
		rule = reply_rule;
	} else if (!is_allowed) {
		return NULL;
	}
	starter = is_allowed ? starter_of(direction) : starter_of(!direction);
	return quick_starter(skb, places, direction) == starter ? rule : NULL;
}

/* 1 when the packet is allowed, and counted; 0 when nothing is said of it. */
static __always_inline int pass_quickly(struct __sk_buff *skb, const struct view *view,
					__u32 direction)
{
	const struct rule *rule = NULL;
	struct places places;

	/* Apart, so that neither family pays for the other. */
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (finds_places4(skb, direction, &places))
			rule = allowing_rule(skb, view, &places, direction);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (finds_places6(skb, direction, &places))
			rule = allowing_rule(skb, view, &places, direction);
	}
	if (!rule)
		return 0;
	count(rule->counter, skb->len);
	return 1;
}

#endif
