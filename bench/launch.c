/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Runs a command in a cgroup, in a network namespace and on a CPU, and says what
 * it took:
 *
 *   launch [-c CGROUP_DIR] [-n NETNS] [-p CPU] COMMAND [ARGUMENT...]
 *
 * One JSON line goes to descriptor 3 when that is open. The command dies with us.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void fail(const char *what)
{
	fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
	exit(127);
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long micros(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

static void pass_on(int signal)
{
	if (child > 0)
		kill(child, signal);
}

static void enter_cgroup(const char *folder)
{
	char path[4096];
	int file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0 || write(file, "0", 1) != 1)
		fail(path);
	close(file);
}

static void enter_netns(const char *name)
{
	char path[4096];
	int file;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || setns(file, CLONE_NEWNET))
		fail(path);
	close(file);
}

int main(int argc, char **argv)
{
	const char *cgroup = NULL, *netns = NULL;
	int option, cpu = -1, status;
	struct rusage usage;
	long long start;

	while ((option = getopt(argc, argv, "+c:n:p:")) != -1) {
		if (option == 'c')
			cgroup = optarg;
		else if (option == 'n')
			netns = optarg;
		else if (option == 'p')
			cpu = atoi(optarg);
		else
			return 127;
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: launch [-c CGROUP_DIR] [-n NETNS] [-p CPU] COMMAND...\n");
		return 127;
	}
	signal(SIGTERM, pass_on);
	signal(SIGINT, pass_on);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	start = now_ns();
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(3, F_SETFD, FD_CLOEXEC);
		if (cgroup)
			enter_cgroup(cgroup);
		if (netns)
			enter_netns(netns);
		if (cpu >= 0) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(cpu, &set);
			if (sched_setaffinity(0, sizeof(set), &set))
				fail("sched_setaffinity");
		}
		execvp(argv[optind], &argv[optind]);
		fail(argv[optind]);
	}
	while (wait4(child, &status, 0, &usage) < 0)
		if (errno != EINTR)
			fail("wait4");
	dprintf(3, "{\"wallMs\":%.3f,\"cpuMs\":%.3f,\"peakMb\":%.1f}\n", (now_ns() - start) / 1e6,
		(micros(usage.ru_utime) + micros(usage.ru_stime)) / 1e3, usage.ru_maxrss / 1024.0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
