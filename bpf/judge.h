/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Judges an accelerated connection: its bytes never meet the packet hooks. Every
 * policy above either socket has to allow it, by the rules of the direction in which
 * it began. The answer holds for one generation.
 */
#ifndef CGFW_JUDGE_H
#define CGFW_JUDGE_H

#include "accelerate.h"
#include "interface.h"
#include "view.h"

#define V4_MAPPED 0xffff
/* Number of the loopback interface, in each network namespace: all local TCP goes by it. */
#define LOOPBACK 1

/* One question, and what has been found so far. */
struct judgement {
	__u32 slot;
	__u32 direction;	/* enum direction_index */
	__u32 family;
	__u32 point;
	__u32 address[4];	/* remote, as seen from the end that is judged */
	__u32 policy;		/* index in policies */
	__u32 counter;		/* out: of the rule that allows it */
	__u32 accelerates;	/* out: the policy asks for acceleration */
	__u32 pad;
};

/*
 * 0, or why this policy does not let bytes be redirected. Global, so that the verifier
 * looks at the classifier once.
 */
__noinline int judge_policy(struct judgement *judgement)
{
	const struct direction *direction;
	const struct policy *policy;
	const struct rule *rule;
	__u32 index;

	if (!judgement)
		return PASSED_OFF;
	policy = policy_at(judgement->slot & 1, judgement->policy);
	if (!policy)
		return PASSED_OFF;
	judgement->accelerates = policy->flags & POLICY_ACCELERATE;
	direction = &policy->direction[judgement->direction & 1];
	index = direction->rule_base + decide(judgement->slot & 1, direction, judgement->family,
					      judgement->address, judgement->point);
	rule = rule_at(judgement->slot & 1, index);
	if (!rule || rule->action != ACTION_ALLOW)
		return PASSED_DENIED;
	if (rule->log == LOG_ALL)
		return PASSED_LOGGED;
	judgement->counter = rule->counter;
	return 0;
}

static __always_inline __u32 policy_of(__u64 cgroup, __u32 slot)
{
	const struct owner *member = cgroup ? bpf_map_lookup_elem(&members, &cgroup) : NULL;

	return member ? member->policy[slot & 1] : 0;
}

/* All policies from a socket's own cgroup up to the root; the nearest says whether to accelerate. */
static __always_inline int judge_path(struct stream *stream, const struct path *path,
				      struct judgement *judgement)
{
	int is_nearest = 1, reason;
	__u32 at;

	/* Unrolled: rolled up, clang counts with a negated index, which 6.1 cannot follow. */
#pragma unroll
	for (int i = PATH_DEPTH - 1; i >= 0; i--) {
		judgement->policy = policy_of(path->cgroup[i], judgement->slot);
		if (!judgement->policy)
			continue;
		reason = judge_policy(judgement);
		if (is_nearest && !judgement->accelerates)
			return PASSED_OFF;
		if (reason)
			return reason;
		if (stream->judges >= JUDGES)
			return PASSED_DEEP;
		at = stream->judges++;
		/* Keeps the bound provable: clang drops a mask that it thinks is idle. */
		asm volatile("%0 &= %1" : "+r"(at) : "i"(JUDGES - 1));
		stream->counter[at] = judgement->counter;
		is_nearest = 0;
	}
	return is_nearest ? PASSED_OFF : 0;
}

static __always_inline void set_remote(struct judgement *judgement, const __u32 *address)
{
	if (address[0] == 0 && address[1] == 0 && address[2] == V4_MAPPED) {
		judgement->family = 4;
		judgement->address[0] = address[3];
		judgement->address[1] = 0;
		judgement->address[2] = 0;
		judgement->address[3] = 0;
		return;
	}
	judgement->family = 6;
	for (int i = 0; i < 4; i++)
		judgement->address[i] = address[i];
}

/* These tables are of that generation: not those of programs that were replaced. */
static __always_inline int is_current(const struct view *view)
{
	__u32 first = view->slot * capacity.text;
	const struct text_block *block = bpf_map_lookup_elem(&text, &first);

	return block && *(const __u32 *)&block->byte[TEXT_GENERATION] == (__u32)view->generation;
}

/* 0 when both ends' policies allow the stream in this generation, else why not. */
static __always_inline int judge_stream(struct stream *stream, const struct end *other,
					const struct view *view)
{
	__u32 began_here = stream->starter == STARTED_EGRESS;
	struct judgement judgement = {};
	int reason;

	if (!view->generation)
		return PASSED_OFF;
	if (!is_current(view))
		return PASSED_OUTDATED;
	/* Its rules are about frames, which redirected bytes are not. */
	if (interface_owner(view->slot, LOOPBACK))
		return PASSED_INTERFACE;
	judgement.slot = view->slot;
	judgement.point = POINT_TCP + (began_here ? stream->peer.local_port :
						    stream->peer.remote_port);
	stream->judges = 0;
	judgement.direction = began_here ? EGRESS : INGRESS;
	set_remote(&judgement, stream->peer.local);
	reason = judge_path(stream, &stream->path, &judgement);
	if (reason)
		return reason;
	judgement.direction = began_here ? INGRESS : EGRESS;
	set_remote(&judgement, stream->peer.remote);
	return judge_path(stream, &other->path, &judgement);
}

#endif
