/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Decides every packet that a socket of a managed cgroup sends or receives. */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "exchange.h"
#include "quick.h"
#include "stream.h"
#include "view.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* Egress: 0 fails the send with EPERM, 2 drops in silence. Ingress: 0 drops. */
#define PASS 1
#define FAIL 0
#define DROP 2

#define PLACE_SLOT 1U
#define PLACE_INGRESS 2U
#define PLACE_IPV6 4U

/*
 * Absolute index of the rule of a policy for an address and a point; -1 when the
 * tables are damaged. A global function, so that the verifier looks at it once.
 */
__noinline int rule_in(__u32 place, __u32 index, __u64 high, __u64 low, __u32 point)
{
	__u32 address[4] = { high >> 32, high, low >> 32, low };
	__u32 slot = place & PLACE_SLOT;
	const struct policy *policy = policy_at(slot, index);
	const struct direction *rules;

	if (!policy)
		return -1;
	rules = &policy->direction[place & PLACE_INGRESS ? INGRESS : EGRESS];
	return rules->rule_base +
	       decide(slot, rules, place & PLACE_IPV6 ? 6 : 4, address, point);
}

/* Fills the verdict by the rules of one direction; 0 when the tables are damaged. */
static __always_inline int judge_by(struct view *view, struct packet *packet,
				    struct verdict *verdict, __u32 direction, __u32 judged)
{
	const __u32 *remote = remote_of(packet, direction);
	__u32 place = view->slot | (judged == INGRESS ? PLACE_INGRESS : 0) |
		      (packet->family == 6 ? PLACE_IPV6 : 0);

	verdict->rule = rule_in(place, view->index, (__u64)remote[0] << 32 | remote[1],
				(__u64)remote[2] << 32 | remote[3],
				judged == direction ? packet->point : packet->reply_point);
	return take_rule(view, verdict);
}

/* A packet that is denied passes all the same when the other direction allows it: 1, else 0. */
static __always_inline int allow_reply(struct view *view, struct packet *packet,
				       struct verdict *verdict, __u32 direction)
{
	struct verdict reply = {};

	if (!judge_by(view, packet, &reply, direction, !direction) || reply.action != ACTION_ALLOW)
		return 0;
	*verdict = reply;
	return 1;
}

/*
 * Sees to it that replies will be known; 1 when the exchange is a new one. What
 * the other direction began stays its own for as long as its rules allow that. A
 * reply that its own rules allow needs no note, unless `new` wants to know.
 */
static __always_inline int join_exchange(struct bpf_sock *sk, struct view *view,
					 struct packet *packet, __u32 direction,
					 const struct peer_key *key, __u8 log)
{
	struct verdict reply = {};
	int is_allowed = allow_reply(view, packet, &reply, direction);
	struct socket_flow *flow;
	__u32 starter;

	if (is_allowed && packet->exchange == EXCHANGE_UDP && log != LOG_NEW &&
	    reply.log != LOG_NEW)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		count_fault(FAULT_FLOW);
	starter = peer_starter(flow, key, packet, direction);
	/* A request asks for itself, whoever has asked before. */
	if (starter == starter_of(direction) ||
	    (starter == starter_of(!direction) && is_allowed && packet->exchange == EXCHANGE_UDP))
		return 0;
	if (!flow || !note_first_peer(flow, packet, direction))
		note_further_peer(key, direction);
	return 1;
}

/*
 * Whether a datagram that its own direction denies answers one that the other
 * began. Nobody has to have seen that for a connected UDP socket: it chose its
 * peer, and what comes from there is judged as if it had been asked for. The
 * reverse proves nothing: anyone can connect a socket, and send.
 */
static __always_inline int is_reply(struct bpf_sock *sk, const struct packet *packet,
				    __u32 direction, const struct peer_key *key)
{
	struct socket_flow *flow;
	__u32 starter;

	if (packet->exchange != EXCHANGE_UDP && packet->exchange != EXCHANGE_ECHO_REPLY)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, NULL, 0);
	starter = peer_starter(flow, key, packet, direction);
	if (starter != STARTED_UNKNOWN)
		return starter == starter_of(!direction);
	return packet->exchange == EXCHANGE_UDP && direction == INGRESS &&
	       sk->state == BPF_TCP_ESTABLISHED;
}

/*
 * A connection's packet. What the other direction began passes for as long as its
 * rules allow that, whatever this direction's would say. 0 when the tables are damaged.
 */
static __always_inline int judge_stream(struct bpf_sock *sk, struct view *view,
					struct packet *packet, __u32 direction,
					struct verdict *verdict)
{
	__u32 is_open = view->policy->direction[!direction].flags & DIRECTION_OPEN;
	struct verdict reply = {};
	__u32 starter;

	verdict->is_new = (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (verdict->action == ACTION_ALLOW && is_open && !verdict->is_new)
		return 1;
	starter = tcp_starter(sk, packet, direction);
	if (verdict->action != ACTION_ALLOW) {
		if (may_answer(sk, starter, direction))
			allow_reply(view, packet, verdict, direction);
	} else if (starter == starter_of(!direction) && !is_open) {
		if (!judge_by(view, packet, &reply, direction, !direction))
			return 0;
		if (reply.action != ACTION_ALLOW)
			*verdict = reply;
	}
	return 1;
}

/* A datagram: who may begin an exchange may go on with it, whoever began. */
static __always_inline void judge_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct view *view, struct packet *packet,
					   __u32 direction, struct verdict *verdict)
{
	__u32 other_flags = view->policy->direction[!direction].flags;
	struct peer_key key = {};

	fill_peer_key(&key, skb, packet, direction);
	if (verdict->action != ACTION_ALLOW) {
		if (is_reply(sk, packet, direction, &key))
			allow_reply(view, packet, verdict, direction);
		return;
	}
	/* Whoever may answer by rule needs no note, unless `new` wants to know. */
	if (packet->exchange != EXCHANGE_ECHO_REPLY &&
	    (!(other_flags & DIRECTION_OPEN) || verdict->log == LOG_NEW))
		verdict->is_new = join_exchange(sk, view, packet, direction, &key,
						verdict->log);
}

/*
 * Fills the verdict on a packet that could be read; 0 when the tables are damaged.
 * The rules of its own direction come first: a packet that they allow is counted
 * and logged as theirs.
 */
static __always_inline int judge(struct __sk_buff *skb, struct view *view,
				 struct packet *packet, __u32 direction, struct verdict *verdict)
{
	struct bpf_sock *sk = skb->sk;

	if (!judge_by(view, packet, verdict, direction, direction))
		return 0;
	if (!sk || packet->exchange == EXCHANGE_NONE)
		return 1;
	if (packet->exchange == EXCHANGE_TCP)
		return judge_stream(sk, view, packet, direction, verdict);
	judge_datagram(skb, sk, view, packet, direction, verdict);
	return 1;
}

static __noinline void log_packet(struct __sk_buff *skb, const struct view *view,
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

static __always_inline int refuse(struct __sk_buff *skb, __u32 action, __u32 direction)
{
	if (direction == INGRESS)
		return FAIL;
	/*
	 * TCP takes 0 for loss and retries for minutes, and reports 2 as a
	 * time-out within seconds; datagrams report 0 and never notice 2.
	 */
	if (is_stream(skb->sk))
		return action == ACTION_REJECT ? DROP : FAIL;
	return action == ACTION_REJECT ? FAIL : DROP;
}

/* The whole way of a packet: 0, 1 or 2. */
static __always_inline int filter_whole(struct __sk_buff *skb, __u32 direction)
{
	struct packet packet = {};
	struct verdict verdict = {};
	const struct direction *own;
	__u32 unparsable;
	struct view view;

	if (!open_view(&view))
		return PASS;
	if (!view.policy)
		return FAIL;
	own = &view.policy->direction[direction];
	unparsable = own->rule_base + own->unparsable_rule;
	if (parse(skb, &packet) == 0) {
		if (!judge(skb, &view, &packet, direction, &verdict))
			return FAIL;
		/* A later fragment, where a port would decide. */
		if (packet.point >= POINT_PROTO && verdict.rule == unparsable)
			count_fault(FAULT_UNPARSABLE);
	} else {
		count_fault(FAULT_UNPARSABLE);
		verdict.rule = unparsable;
		if (!take_rule(&view, &verdict))
			return FAIL;
	}
	count(verdict.counter, packet.length);
	if (view.policy->flags & POLICY_ACCELERATE && verdict.is_new &&
	    packet.exchange == EXCHANGE_TCP)
		note_path(skb->sk);
	if (wants_event(&verdict))
		log_packet(skb, &view, &verdict, &packet, direction);
	if (verdict.action == ACTION_ALLOW || verdict.audit)
		return PASS;
	return refuse(skb, verdict.action, direction);
}

/* Global, so that the verifier looks at them by themselves, and apart from the quick way's lines. */
__noinline int egress_whole(struct __sk_buff *skb)
{
	return filter_whole(skb, EGRESS);
}

__noinline int ingress_whole(struct __sk_buff *skb)
{
	return filter_whole(skb, INGRESS);
}

static __always_inline int filter(struct __sk_buff *skb, __u32 direction)
{
	struct view view;

	if (!open_view(&view))
		return PASS;
	if (view.policy && !(view.policy->flags & POLICY_LOUD) &&
	    pass_quickly(skb, &view, direction))
		return PASS;
	return direction == EGRESS ? egress_whole(skb) : ingress_whole(skb);
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
