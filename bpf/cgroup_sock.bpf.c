/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Socket hooks: connect() of TCP fails at once where a rule rejects, raw IP
 * sockets are refused, and the task behind a socket is noted for the log. None
 * of them judges datagrams: a UDP connect() is often only a question of
 * routing, and a sendmsg hook would refuse a server's replies.
 */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "flow.h"
#include "view.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define PASS 1
#define FAIL 0

#define LOOPBACK4 0x7f000001 /* 127.0.0.1 */

static __always_inline void note_task(struct socket_flow *flow)
{
	flow->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(flow->comm, sizeof(flow->comm));
}

static __always_inline void log_task(struct event *event)
{
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

static __always_inline int is_v4_mapped(const __u32 *address)
{
	return address[0] == 0 && address[1] == 0 && address[2] == 0xffff;
}

/* The kernel takes the unspecified address for this host, but only after this hook. */
static __always_inline void resolve_unspecified(struct bpf_sock_addr *context,
						struct packet *packet)
{
	struct bpf_sock *sk = context->sk;
	__u32 *address = packet->destination;

	if (packet->family == 4) {
		if (address[0] == 0)
			address[0] = sk && sk->src_ip4 ? bpf_ntohl(sk->src_ip4) : LOOPBACK4;
	} else if ((address[0] | address[1] | address[2] | address[3]) == 0) {
		address[3] = 1;
	}
}

/* Reads the whole address first: the verifier refuses branch-wise reads. */
static __always_inline void parse_connect(struct bpf_sock_addr *context, struct packet *packet,
					  __u32 family)
{
	packet->family = family;
	packet->protocol = IPPROTO_TCP;
	packet->exchange = EXCHANGE_TCP;
	packet->destination_port = bpf_ntohs(context->user_port);
	packet->point = POINT_TCP + packet->destination_port;
	if (family == 4) {
		packet->destination[0] = bpf_ntohl(context->user_ip4);
		return;
	}
	packet->destination[0] = bpf_ntohl(context->user_ip6[0]);
	packet->destination[1] = bpf_ntohl(context->user_ip6[1]);
	packet->destination[2] = bpf_ntohl(context->user_ip6[2]);
	packet->destination[3] = bpf_ntohl(context->user_ip6[3]);
	if (is_v4_mapped(packet->destination)) {
		packet->family = 4;
		packet->destination[0] = packet->destination[3];
		packet->destination[1] = 0;
		packet->destination[2] = 0;
		packet->destination[3] = 0;
	}
}

static __always_inline void note_connect(struct bpf_sock_addr *context)
{
	struct bpf_sock *sk = context->sk;
	struct socket_flow *flow;

	if (!sk)
		return;
	flow = bpf_sk_storage_get(&flows, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow) {
		count_fault(FAULT_FLOW);
		return;
	}
	note_task(flow);
	if (context->type == SOCK_STREAM)
		flow->starter = STARTED_EGRESS;
}

static __always_inline int judge_connect(struct bpf_sock_addr *context, __u32 family)
{
	const struct direction *direction;
	struct verdict verdict = {};
	struct packet packet = {};
	struct event *event;
	struct view view;
	int is_refused;

	if (!open_view(&view))
		return PASS;
	note_connect(context);
	if (context->type != SOCK_STREAM || context->protocol == IPPROTO_SCTP)
		return PASS;
	if (!view.policy)
		return FAIL;
	parse_connect(context, &packet, family);
	resolve_unspecified(context, &packet);
	direction = &view.policy->direction[EGRESS];
	verdict.rule = direction->rule_base + decide(view.slot, direction, packet.family,
						     packet.destination, packet.point);
	if (!take_rule(&view, &verdict))
		return FAIL;
	is_refused = verdict.action == ACTION_REJECT && !verdict.audit;
	/* Whatever is not refused here is counted and logged at its SYN. */
	if (is_refused)
		count(verdict.counter, 0);
	if (is_refused ? wants_event(&verdict) : verdict.log == LOG_ALL) {
		event = reserve_event(&verdict, view.head, view.generation);
		if (event) {
			describe_packet(event, &packet);
			event->hook = HOOK_CONNECT;
			event->cookie = bpf_get_socket_cookie(context);
			log_task(event);
			submit_event(event, view.head);
		}
	}
	return is_refused ? FAIL : PASS;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *context)
{
	return judge_connect(context, 4);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *context)
{
	return judge_connect(context, 6);
}

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *context)
{
	struct verdict verdict = {};
	struct socket_flow *flow;
	struct event *event;
	struct view view;

	if (!open_view(&view))
		return PASS;
	if (!view.policy)
		return FAIL;
	if (context->type == SOCK_RAW && view.policy->flags & POLICY_RAW_DENY) {
		verdict.rule = view.policy->raw_rule;
		if (!take_rule(&view, &verdict))
			return FAIL;
		count(verdict.counter, 0);
		if (wants_event(&verdict)) {
			event = reserve_event(&verdict, view.head, view.generation);
			if (event) {
				event->hook = HOOK_SOCKET;
				event->family = context->family == AF_INET ? 4 : 6;
				event->protocol = context->protocol;
				log_task(event);
				submit_event(event, view.head);
			}
		}
		if (!verdict.audit)
			return FAIL;
	}
	flow = bpf_sk_storage_get(&flows, context, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (flow)
		note_task(flow);
	else
		count_fault(FAULT_FLOW);
	return PASS;
}
