/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Decides every frame that a managed interface receives. Rules of interfaces have no state. */
#ifndef CGFW_XDP_H
#define CGFW_XDP_H

#define CGFW_FRAMES

#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include "event.h"
#include "frame.h"
#include "interface.h"
#include "view.h"

static __always_inline void log_frame(struct xdp_md *frame, const struct view *view,
				      const struct verdict *verdict, const struct packet *packet)
{
	struct event *event = reserve_event(verdict, view->head, view->generation);

	if (!event)
		return;
	describe_packet(event, packet);
	event->hook = HOOK_XDP;
	event->ifindex = frame->ingress_ifindex;
	submit_event(event, view->head);
}

static __always_inline void judge_frame(struct xdp_md *frame, const struct view *view,
					struct packet *packet, struct verdict *verdict,
					enum frame kind)
{
	const struct direction *rules = &view->policy->direction[INGRESS];
	__u32 unparsable = rules->rule_base + rules->unparsable_rule;

	if (kind == FRAME_IP && parse(frame, packet) == 0)
		verdict->rule = rules->rule_base + decide(view->slot, rules, packet->family,
							  packet->source, packet->point);
	else
		verdict->rule = unparsable;
	/* Also a later fragment, where a port would decide. */
	if (verdict->rule == unparsable)
		count_fault(FAULT_UNPARSABLE);
}

static __always_inline int filter(struct xdp_md *frame)
{
	struct packet packet = {};
	struct verdict verdict = {};
	struct view view;
	enum frame kind;

	if (!read_generation(&view) ||
	    !open_policy(&view, interface_owner(view.slot, frame->ingress_ifindex)))
		return XDP_PASS;
	if (!view.policy)
		return XDP_DROP;
	kind = read_frame(frame, &packet);
	if (kind == FRAME_OTHER) {
		/* Rules speak of IP; without ARP there would be no IP either. */
		count_fault(FAULT_NOT_IP);
		return XDP_PASS;
	}
	packet.length = length_of(frame, &packet);
	judge_frame(frame, &view, &packet, &verdict, kind);
	if (!take_rule(&view, &verdict))
		return XDP_DROP;
	/* Without state, the first packet of a flow is known for TCP alone. */
	verdict.is_new = (packet.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	count(verdict.counter, packet.length);
	if (wants_event(&verdict))
		log_frame(frame, &view, &verdict, &packet);
	return verdict.action == ACTION_ALLOW ? XDP_PASS : XDP_DROP;
}

#endif
