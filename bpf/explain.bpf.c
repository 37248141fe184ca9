/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Asks the loaded tables what they would decide, by the classifier of the hooks. */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "decide.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* Returns 0 with the answer filled in, 1 when no generation is in force. */
SEC("syscall")
int explain(struct question *question)
{
	__u32 zero = 0;
	struct control *head = bpf_map_lookup_elem(&control, &zero);
	const struct direction *direction;
	const struct policy *policy;
	const struct rule *rule;
	__u32 slot, address[4], relative;

	if (!head || !head->generation)
		return 1;
	question->generation = head->generation;
	slot = head->generation & 1;
	policy = policy_at(slot, question->policy);
	if (!policy)
		return 1;
	direction = &policy->direction[question->direction & 1];
	address[0] = question->address[0];
	address[1] = question->address[1];
	address[2] = question->address[2];
	address[3] = question->address[3];
	question->class_id = class_of(slot, question->family, address);
	relative = question->unparsable ? direction->unparsable_rule :
					  decide(slot, direction, question->family, address,
						 question->point);
	question->rule = direction->rule_base + relative;
	rule = rule_at(slot, question->rule);
	if (!rule)
		return 1;
	question->action = rule->action;
	return 0;
}
