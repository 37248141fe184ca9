/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Decides every packet that a socket of a managed cgroup sends or receives. */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "flow.h"
#include "view.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* Egress: 0 fails the send with EPERM, 2 drops in silence. Ingress: 0 drops. */
#define PASS 1
#define FAIL 0
#define DROP 2

/*
 * The rule for a packet that could be read. When its own direction denies, it
 * may still be a reply to what the other direction allowed.
 */
static __always_inline __u32 judge(struct __sk_buff *skb, const struct view *view,
				   struct packet *packet, __u32 direction, int class,
				   __u8 *is_new)
{
	const struct direction *own = &view->policy->direction[direction];
	const struct direction *other = &view->policy->direction[!direction];
	struct bpf_sock *sk = skb->sk;
	const struct rule *rule;
	__u32 starter, index;

	if (packet->exchange == EXCHANGE_TCP && sk) {
		starter = tcp_starter(sk, packet, direction);
		*is_new = (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
		if (starter == starter_of(!direction))
			return other->rule_base +
			       decide(view->slot, other, class, packet->reply_point);
	} else {
		starter = starter_of(direction);
	}
	index = own->rule_base + decide(view->slot, own, class, packet->point);
	if (packet->exchange == EXCHANGE_NONE || !sk)
		return index;
	rule = rule_at(view->slot, index);
	if (!rule)
		return index;
	if (rule->action == ACTION_ALLOW) {
		if (packet->exchange == EXCHANGE_TCP || packet->exchange == EXCHANGE_ECHO_REPLY)
			return index;
		/* Whoever may answer by rule needs no note, unless `new` wants to know. */
		if (!(other->flags & DIRECTION_OPEN) || rule->log == LOG_NEW)
			*is_new = note_peer(skb, sk, packet, direction);
		return index;
	}
	if (packet->exchange == EXCHANGE_UDP || packet->exchange == EXCHANGE_ECHO_REPLY)
		starter = peer_starter(skb, sk, packet, direction);
	else if (packet->exchange == EXCHANGE_ECHO_REQUEST)
		return index;
	if (starter == starter_of(direction) ||
	    (starter == STARTED_UNKNOWN && packet->exchange != EXCHANGE_TCP))
		return index;
	__u32 reply = other->rule_base + decide(view->slot, other, class, packet->reply_point);

	rule = rule_at(view->slot, reply);
	return rule && rule->action == ACTION_ALLOW ? reply : index;
}

static __always_inline void log_packet(struct __sk_buff *skb, const struct view *view,
				       const struct verdict *verdict, const struct packet *packet,
				       __u32 direction)
{
	struct event *event = reserve_event(verdict, view->head, view->generation);
	struct socket_flow *flow;
	struct bpf_sock *sk;

	if (!event)
		return;
	describe_packet(event, packet);
	event->hook = direction == EGRESS ? HOOK_EGRESS : HOOK_INGRESS;
	event->ifindex = skb->ifindex;
	event->cookie = bpf_get_socket_cookie(skb);
	sk = skb->sk;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk) {
		event->cgroup = bpf_sk_cgroup_id(sk);
		flow = bpf_sk_storage_get(&flows, sk, NULL, 0);
		if (flow) {
			event->pid = flow->pid;
			__builtin_memcpy(event->comm, flow->comm, sizeof(event->comm));
		}
	}
	submit_event(event, view->head);
}

static __always_inline int refuse(const struct packet *packet, __u32 action, __u32 direction)
{
	if (direction == INGRESS)
		return FAIL;
	/*
	 * TCP takes 0 for loss and retries for minutes, and reports 2 as a
	 * time-out within seconds; datagrams report 0 and never notice 2.
	 */
	if (packet->exchange == EXCHANGE_TCP)
		return action == ACTION_REJECT ? DROP : FAIL;
	return action == ACTION_REJECT ? FAIL : DROP;
}

static __always_inline int filter(struct __sk_buff *skb, __u32 direction)
{
	struct packet packet = {};
	struct verdict verdict = {};
	const struct direction *own;
	struct view view;

	if (!open_view(&view))
		return PASS;
	if (!view.policy)
		return FAIL;
	own = &view.policy->direction[direction];
	if (parse(skb, &packet) == 0) {
		int class = class_of(view.slot, packet.family, remote_of(&packet, direction));

		verdict.rule = judge(skb, &view, &packet, direction, class, &verdict.is_new);
	} else {
		count_fault(FAULT_UNPARSABLE);
		verdict.rule = own->rule_base + own->unparsable_rule;
	}
	if (!take_rule(&view, &verdict))
		return FAIL;
	count(&verdict, packet.length);
	if (wants_event(&verdict))
		log_packet(skb, &view, &verdict, &packet, direction);
	if (verdict.action == ACTION_ALLOW || verdict.audit)
		return PASS;
	return refuse(&packet, verdict.action, direction);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	int code = filter(skb, EGRESS);

	/* Keeps the range provable: clang may fold the branches away. */
	asm volatile("%0 &= 3" : "+r"(code));
	return code;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	int code = filter(skb, INGRESS);

	asm volatile("%0 &= 1" : "+r"(code));
	return code;
}
