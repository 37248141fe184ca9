/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which cgroups a socket belongs to, noted at the SYN of a connection that may be
 * accelerated: the programs that redirect its bytes later cannot ask. A listener
 * hands its own on to the sockets that it accepts.
 */
#ifndef CGFW_STREAM_H
#define CGFW_STREAM_H

#include "maps.h"

static __always_inline void note_path(struct bpf_sock *sk)
{
	struct stream *stream;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	stream = bpf_sk_storage_get(&streams, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	/* A socket never changes its cgroup: once is enough. */
	if (!stream || stream->path.cgroup[0])
		return;
	if (bpf_sk_ancestor_cgroup_id(sk, PATH_DEPTH + 1))
		return;
	for (int i = 0; i < PATH_DEPTH; i++)
		stream->path.cgroup[i] = bpf_sk_ancestor_cgroup_id(sk, i + 1);
}

#endif
