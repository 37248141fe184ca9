/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Sends frames out of an interface with as little as the kernel can do: a live
 * test run of an XDP program that returns XDP_TX.
 *
 *   frames PINNED_PROGRAM INTERFACE FRAME_FILE
 *
 * In batches of 64; what the peer's interface does with them happens between two
 * batches on the same CPU, so that the time of a frame is the cost of both ends.
 * The answer is one JSON line: how many, and nanoseconds a frame.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 65536
#define BATCH 64

static void fail(const char *what)
{
	fprintf(stderr, "frames: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int open_program(const char *pin)
{
	union bpf_attr attr = { .pathname = (__u64)(unsigned long)pin };
	int fd = bpf(BPF_OBJ_GET, &attr);

	if (fd < 0)
		fail(pin);
	return fd;
}

int main(int argc, char **argv)
{
	struct xdp_md context = { 0 };
	char frame[2048];
	int file, size;
	union bpf_attr attr;

	if (argc != 4)
		return 2;
	file = open(argv[3], O_RDONLY);
	size = file < 0 ? -1 : read(file, frame, sizeof(frame));
	if (size <= 0)
		fail(argv[3]);
	context.data_end = size;
	context.ingress_ifindex = if_nametoindex(argv[2]);
	if (!context.ingress_ifindex)
		fail(argv[2]);
	attr = (union bpf_attr){
		.test = {
			.prog_fd = open_program(argv[1]),
			.data_in = (__u64)(unsigned long)frame,
			.data_size_in = size,
			.ctx_in = (__u64)(unsigned long)&context,
			.ctx_size_in = sizeof(context),
			.repeat = FRAMES,
			.batch_size = BATCH,
			.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		},
	};
	if (bpf(BPF_PROG_TEST_RUN, &attr))
		fail("live test run");
	printf("{\"count\":%d,\"ns\":%u}\n", FRAMES, attr.test.duration);
	return 0;
}
