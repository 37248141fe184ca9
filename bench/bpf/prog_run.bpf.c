/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cgroup_skb programs for test runs, where no cgroup says who owns it: the
 * storage is read as in earnest, but holds zero, and policy 1 answers.
 */
#include "test_owner.h"
#include "../../bpf/cgroup_skb.bpf.c"
