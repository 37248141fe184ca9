/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The few fields of the kernel's own structs that acceleration looks at. Offsets are
 * those of the running kernel: libbpf takes them from its type information.
 */
#ifndef CGFW_KERNEL_TYPES_H
#define CGFW_KERNEL_TYPES_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next, *prev;
};

struct sk_msg_sg {
	__u32 size;
};

/* A message in a queue: what one send() has redirected. */
struct sk_msg {
	struct sk_msg_sg sg;
	struct list_head list;
};

struct sock;

/* What a socket in a SOCKHASH has in addition. */
struct sk_psock {
	struct sock *sk;
	struct list_head ingress_msg;
};

struct sock {
	void *sk_user_data;
};

struct tcp_sock {
	__u32 write_seq;
	_Bool is_mptcp;
};

#pragma clang attribute pop

#endif
