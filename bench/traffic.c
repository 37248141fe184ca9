/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Traffic through real sockets, to addresses that are all local in the network
 * namespace it runs in. One process, plain calls, bounded in time.
 *
 *   traffic udp  -s SECONDS -d FILE [-r PACKETS_A_SECOND] [-o]
 *   traffic rr   -s SECONDS -d FILE
 *   traffic conn -s SECONDS -d FILE
 *   traffic flip -s SECONDS [-g PIN] ADDRESS ADDRESS
 *   traffic probe ADDRESS
 *
 * FILE holds IPv4 addresses of 4 bytes in network order. The answer is one JSON
 * line. Costs are medians over short chunks, so that a chunk in which another
 * process took the CPU does not count.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 40009
#define SIZE 64
#define MAX_CHUNKS (1 << 18)

static double seconds = 0.25;
static long rate;
static int sends_only;
static const unsigned int *destinations;
static size_t destination_count = 1;
static size_t next_destination;
static volatile sig_atomic_t is_over;

static double chunks[MAX_CHUNKS];
static int chunk_count;

static void fail(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void stop(int signal)
{
	(void)signal;
	is_over = 1;
}

static long long clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double at_share(double share)
{
	return chunk_count ? chunks[(int)(share * (chunk_count - 1))] : 0;
}

/* `each` is what one packet, exchange or connection cost in a chunk. */
static void note_chunk(double each)
{
	if (chunk_count < MAX_CHUNKS)
		chunks[chunk_count++] = each;
}

/* Until the time is over, or longer when what is measured is very slow. */
static int goes_on(long long end)
{
	long long now = clock_ns(CLOCK_MONOTONIC);

	return !is_over && (now < end || (chunk_count < 4 && now < end + 5000000000LL));
}

static void report(long count, long errors, long received)
{
	qsort(chunks, chunk_count, sizeof(chunks[0]), compare);
	printf("{\"count\":%ld,\"errors\":%ld,\"received\":%ld,\"ns\":%.1f,\"p10\":%.1f,\"p90\":%.1f,\"chunks\":%d}\n",
	       count, errors, received, at_share(0.5), at_share(0.1), at_share(0.9), chunk_count);
}

static void open_destinations(const char *path)
{
	struct stat stat;
	int file = open(path, O_RDONLY);

	if (file < 0 || fstat(file, &stat) || stat.st_size < 4)
		fail(path);
	destination_count = stat.st_size / 4;
	destinations = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
	if (destinations == MAP_FAILED)
		fail("mmap");
	close(file);
}

static struct sockaddr_in to(unsigned int address_be)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(PORT),
				     .sin_addr.s_addr = address_be };
}

static struct sockaddr_in next_address(void)
{
	if (next_destination == destination_count)
		next_destination = 0;
	return to(destinations[next_destination++]);
}

static int open_socket(int type)
{
	int one = 1, fd = socket(AF_INET, type, 0);

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

static int open_server(int type)
{
	struct sockaddr_in any = to(INADDR_ANY);
	int fd = open_socket(type);

	if (bind(fd, (void *)&any, sizeof(any)))
		fail("bind");
	if (type == SOCK_STREAM && listen(fd, 128))
		fail("listen");
	return fd;
}

/* Sends to the next address and takes the packet off the receiver again. */
static void udp(void)
{
	int receiver = open_server(SOCK_DGRAM), sender = open_socket(SOCK_DGRAM);
	long long end, start, began = clock_ns(CLOCK_MONOTONIC);
	long count = 0, errors = 0, received = 0;
	char bytes[SIZE] = { 0 };

	end = began + (long long)(seconds * 1e9);
	while (goes_on(end)) {
		long before = count;

		start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		for (int i = 0; i < 64; i++) {
			struct sockaddr_in address = next_address();

			if (sendto(sender, bytes, SIZE, 0, (void *)&address, sizeof(address)) < 0)
				errors++;
			if (!sends_only && recv(receiver, bytes, SIZE, MSG_DONTWAIT) > 0)
				received++;
			count++;
		}
		/* The first chunks warm up. */
		if (before >= 256)
			note_chunk((clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / 64.0);
		while (rate && !is_over && (clock_ns(CLOCK_MONOTONIC) - began) * 1e-9 * rate < count)
			;
	}
	report(count, errors, received);
}

static void echo(int fd)
{
	char bytes[SIZE];
	ssize_t got;

	while ((got = read(fd, bytes, SIZE)) > 0)
		if (write(fd, bytes, got) < 0)
			break;
	_exit(0);
}

/* A request and its answer over one connection, both ends on one CPU. */
static void rr(void)
{
	int server = open_server(SOCK_STREAM), client = open_socket(SOCK_STREAM), one = 1, peer;
	struct sockaddr_in address = next_address();
	char bytes[SIZE] = { 0 };
	long long end, start;
	long count = 0;
	pid_t child;

	if (connect(client, (void *)&address, sizeof(address)))
		fail("connect");
	peer = accept(server, NULL, NULL);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	child = fork();
	if (child == 0) {
		close(client);
		echo(peer);
	}
	close(peer);
	end = clock_ns(CLOCK_MONOTONIC) + (long long)(seconds * 1e9);
	while (goes_on(end)) {
		start = clock_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < 32; i++) {
			if (write(client, bytes, SIZE) != SIZE || read(client, bytes, SIZE) <= 0)
				fail("exchange");
			count++;
		}
		if (count > 128)
			note_chunk((clock_ns(CLOCK_MONOTONIC) - start) / 32.0);
	}
	close(client);
	waitpid(child, NULL, 0);
	report(count, 0, count);
}

/* Connects, accepts and closes: on loopback all of it happens in our own time. */
static void conn(void)
{
	int server = open_server(SOCK_STREAM);
	long long end, start;
	long count = 0, errors = 0;

	end = clock_ns(CLOCK_MONOTONIC) + (long long)(seconds * 1e9);
	while (goes_on(end)) {
		start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		for (int i = 0; i < 16; i++) {
			struct sockaddr_in address = next_address();
			int client = open_socket(SOCK_STREAM), peer;

			if (connect(client, (void *)&address, sizeof(address))) {
				errors++;
			} else {
				peer = accept(server, NULL, NULL);
				if (peer >= 0)
					close(peer);
			}
			close(client);
			count++;
		}
		if (count > 64)
			note_chunk((clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / 16.0);
	}
	report(count, errors, 0);
}

/* The generation in force: the first word of the pinned control map. */
static const unsigned long long *open_generation(const char *pin)
{
	union bpf_attr attr = { .pathname = (unsigned long)pin };
	int fd = syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	void *memory = fd < 0 ? MAP_FAILED :
				mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail(pin);
	return memory;
}

/* Which of two policies a send meets: 1 lets the second address pass and refuses the first. */
static int meet(int sender, const struct sockaddr_in *address, int turn, long *errors)
{
	char bytes[SIZE] = { 0 };
	int passed = sendto(sender, bytes, SIZE, 0, (const void *)&address[turn],
			    sizeof(address[turn])) == SIZE;

	if (!passed && errno != EPERM)
		(*errors)++;
	return passed ? turn : !turn;
}

/*
 * Of two addresses each policy lets pass exactly one, and the policies take turns,
 * one each generation, policy 1 first. What is in force is read before and after
 * each send: where that is the same generation, the send must have met its policy.
 * A send during which the generation changed may have met either.
 */
static void flip_generations(const unsigned long long *generation,
			     const struct sockaddr_in *address)
{
	unsigned long long first = __atomic_load_n(generation, __ATOMIC_ACQUIRE), before = first;
	long count = 0, misjudged = 0, during = 0, errors = 0, met[2] = { 0 };
	long long end = clock_ns(CLOCK_MONOTONIC) + (long long)(seconds * 1e9);
	int sender = open_socket(SOCK_DGRAM);

	for (int turn = 0; !is_over && clock_ns(CLOCK_MONOTONIC) < end; turn ^= 1) {
		int meets = meet(sender, address, turn, &errors);
		unsigned long long after = __atomic_load_n(generation, __ATOMIC_ACQUIRE);

		count++;
		met[meets]++;
		if (before != after)
			during++;
		else if (meets != !((before - first) & 1))
			misjudged++;
		before = after;
	}
	printf("{\"count\":%ld,\"switches\":%llu,\"during\":%ld,\"misjudged\":%ld,\"errors\":%ld,\"met\":[%ld,%ld]}\n",
	       count, before - first, during, misjudged, errors, met[0], met[1]);
}

/*
 * The same where no generation can be read. Each send tells which policy it met;
 * where that changes once, the policy was switched. Where it changes from send to
 * send, they met a mixture or no policy at all: both addresses pass, or neither.
 * Two switches look so only when the sender could not run for as long as lies
 * between them: they have to be far apart.
 */
static void flip(const struct sockaddr_in *address)
{
	int sender = open_socket(SOCK_DGRAM), met = -1, in_group = 0;
	long long end, now, group_start = 0, longest = 0;
	long count = 0, last = -3, switches = 0, misjudged = 0, errors = 0;

	end = clock_ns(CLOCK_MONOTONIC) + (long long)(seconds * 1e9);
	for (int turn = 0; !is_over; turn ^= 1) {
		int meets = meet(sender, address, turn, &errors);

		now = clock_ns(CLOCK_MONOTONIC);
		if (now > end)
			break;
		count++;
		if (met >= 0 && meets != met) {
			if (count - last <= 2) {
				if (in_group == 1)
					switches--;
				in_group++;
				misjudged++;
				if (now - group_start > longest)
					longest = now - group_start;
			} else {
				in_group = 1;
				group_start = now;
				switches++;
			}
			last = count;
		}
		met = meets;
	}
	printf("{\"count\":%ld,\"switches\":%ld,\"misjudged\":%ld,\"errors\":%ld,\"longestMs\":%.4f}\n",
	       count, switches, misjudged, errors, longest / 1e6);
}

/* 0 when a datagram passes, 1 when it is refused. */
static int probe(const char *text)
{
	struct sockaddr_in address = to(inet_addr(text));

	return sendto(open_socket(SOCK_DGRAM), "", 1, 0, (void *)&address, sizeof(address)) < 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const unsigned long long *generation = NULL;
	int option;

	optind = 2;
	while ((option = getopt(argc, argv, "s:d:r:g:o")) != -1) {
		if (option == 's')
			seconds = atof(optarg);
		else if (option == 'd')
			open_destinations(optarg);
		else if (option == 'g')
			generation = open_generation(optarg);
		else if (option == 'r')
			rate = atol(optarg);
		else if (option == 'o')
			sends_only = 1;
		else
			return 2;
	}
	signal(SIGTERM, stop);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(mode, "flip") && argc - optind == 2) {
		struct sockaddr_in address[2] = { to(inet_addr(argv[optind])),
						  to(inet_addr(argv[optind + 1])) };

		if (generation)
			flip_generations(generation, address);
		else
			flip(address);
	} else if (!strcmp(mode, "probe") && argc - optind == 1)
		return probe(argv[optind]);
	else if (!destinations)
		return 2;
	else if (!strcmp(mode, "udp"))
		udp();
	else if (!strcmp(mode, "rr"))
		rr();
	else if (!strcmp(mode, "conn"))
		conn();
	else
		return 2;
	return 0;
}
