/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * One TCP connection over loopback between two processes.
 *
 *   stream pong SECONDS BYTES [one]   a message and its answer, taking turns
 *   stream push SECONDS BYTES [one]   messages one way, as fast as they are taken
 *
 * `one` keeps both processes on one CPU, else each has its own. The answer is one JSON
 * line: ns of time for each message (pong: the median exchange), and ns of CPU of both
 * processes for each KiB that the reader got.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_BYTES (1 << 20)
#define MAX_SAMPLES (1 << 20)

static char bytes[MAX_BYTES];
static double samples[MAX_SAMPLES];

static void fail(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_ns(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Without a second CPU both share the first. */
static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void write_all(int fd, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t put = write(fd, bytes + done, size - done);

		if (put <= 0)
			fail("write");
		done += put;
	}
}

/* Whether a whole message came; 0 at the end. */
static int read_all(int fd, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(fd, bytes + done, size - done);

		if (got < 0)
			fail("read");
		if (got == 0)
			return 0;
		done += got;
	}
	return 1;
}

static void serve(int fd, size_t size, int answers)
{
	if (answers)
		while (read_all(fd, size))
			write_all(fd, size);
	else
		while (read(fd, bytes, MAX_BYTES) > 0)
			;
	_exit(0);
}

static void make_pair(int pair[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t length = sizeof(address);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length) ||
	    connect(pair[0], (void *)&address, length))
		fail("connect");
	pair[1] = accept(listener, NULL, NULL);
	close(listener);
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int main(int argc, char **argv)
{
	int answers = argc > 1 && !strcmp(argv[1], "pong"), is_one = argc > 4, pair[2], count = 0;
	double seconds = argc > 3 ? atof(argv[2]) : 0, messages = 0, cpu;
	size_t size = argc > 3 ? (size_t)atol(argv[3]) : 0;
	long long begin, end, last;
	pid_t child;

	if (seconds <= 0 || size == 0 || size > MAX_BYTES) {
		fprintf(stderr, "stream: usage: stream pong|push SECONDS BYTES [one]\n");
		return 2;
	}
	make_pair(pair);
	child = fork();
	stay_on(child == 0 && !is_one ? 1 : 0);
	if (child == 0) {
		close(pair[0]);
		serve(pair[1], size, answers);
	}
	close(pair[1]);
	begin = last = now_ns();
	end = begin + (long long)(seconds * 1e9);
	while (last < end) {
		long long before = last;

		write_all(pair[0], size);
		if (answers && !read_all(pair[0], size))
			fail("read");
		last = now_ns();
		messages++;
		if (answers && count < MAX_SAMPLES)
			samples[count++] = last - before;
	}
	/* Until the reader has got it all. */
	shutdown(pair[0], SHUT_WR);
	waitpid(child, NULL, 0);
	last = now_ns();
	cpu = cpu_ns(RUSAGE_SELF) + cpu_ns(RUSAGE_CHILDREN);
	qsort(samples, count, sizeof(samples[0]), compare);
	printf("{\"messages\":%.0f,\"ns\":%.1f,\"cpuNsPerKib\":%.1f}\n", messages,
	       answers ? samples[count / 2] : (last - begin) / messages,
	       cpu / (messages * size / 1024 * (answers ? 2 : 1)));
	return 0;
}
