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

struct sock_common {
	struct {
		struct {
			int counter;
		} refs;
	} skc_refcnt;
	unsigned long skc_flags;
};

struct hlist_node {
	struct hlist_node **pprev;
};

struct timer_list {
	struct hlist_node entry;
};

/* A task, a poll() or an epoll that waits for a socket. */
struct wait_queue_entry {
	void *private;
	struct list_head entry;
};

struct wait_queue_head {
	struct list_head head;
};

struct socket_wq {
	struct wait_queue_head wait;
};

struct sock {
	struct sock_common __sk_common;
	struct {
		int owned;
	} sk_lock;
	struct socket_wq *sk_wq_raw;
	struct timer_list sk_timer;
	void *sk_user_data;
};

struct inet_connection_sock {
	struct timer_list icsk_retransmit_timer;
	struct timer_list icsk_delack_timer;
};

/* Bits of skc_flags; the running kernel says which. */
enum sock_flags { SOCK_ZEROCOPY = 1 };

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq;
	_Bool is_mptcp;
};

#pragma clang attribute pop

#endif
