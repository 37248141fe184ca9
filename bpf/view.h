/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What is in force for the cgroup a program is attached to. The generation is
 * read once; everything after follows from it, so no packet meets a mixture.
 */
#ifndef CGFW_VIEW_H
#define CGFW_VIEW_H

#include "decide.h"
#include "event.h"
#include "owner.h"

struct view {
	__u64 generation;
	__u32 slot;
	__u32 index;			/* of the policy in its slot */
	const struct control *head;
	const struct policy *policy;	/* NULL: tables damaged, deny */
};

/* 0 when the control map is not there, which cannot be. */
static __always_inline int read_generation(struct view *view)
{
	__u32 zero = 0;

	view->head = bpf_map_lookup_elem(&control, &zero);
	if (!view->head)
		return 0;
	view->generation = *(volatile const __u64 *)&view->head->generation;
	view->slot = view->generation & 1;
	return 1;
}

/*
 * 0 when no policy is the owner. Only after read_generation: an owner read before
 * the switch may not know the new slot yet.
 */
static __always_inline int open_policy(struct view *view, __u32 index)
{
	if (!index)
		return 0;
	view->index = index;
	view->policy = policy_at(view->slot, index);
	if (!view->policy)
		count_fault(FAULT_TABLE);
	return 1;
}

/* 0 when no policy owns the cgroup. */
static __always_inline int open_view(struct view *view)
{
	return read_generation(view) && open_policy(view, owner_index(view->slot));
}

/* Fills the verdict from its rule; 0 when the tables are damaged. */
static __always_inline int take_rule(const struct view *view, struct verdict *verdict)
{
	const struct rule *rule = rule_at(view->slot, verdict->rule);

	if (!rule) {
		count_fault(FAULT_TABLE);
		return 0;
	}
	verdict->action = rule->action;
	verdict->log = rule->log;
	verdict->counter = rule->counter;
	verdict->audit = verdict->action != ACTION_ALLOW && view->policy->flags & POLICY_AUDIT;
	return 1;
}

#endif
