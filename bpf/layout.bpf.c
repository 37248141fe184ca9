/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Never loaded: one variable of each shared type, so that the object's type
 * information names them all for scripts/generate-abi.mjs.
 */
#include <linux/bpf.h>
#include "abi.h"

struct control layout_control;
struct owner layout_owner;
struct interface_owner layout_interface_owner;
struct direction layout_direction;
struct policy layout_policy;
struct rule layout_rule;
struct line layout_line;
struct wide_root layout_wide_root;
struct capacity layout_capacity;
struct counter layout_counter;
struct limit layout_limit;
struct end_key layout_end_key;
struct end layout_end;
struct event layout_event;
struct question layout_question;
enum direction_index layout_direction_index;
enum action layout_action;
enum log_level layout_log_level;
enum hook layout_hook;
enum fault layout_fault;
enum acceleration layout_acceleration;
