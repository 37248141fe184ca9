/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the kernel programs and user space share. Every struct here is read and
 * written by both sides, so each has a fixed size and explicit padding that is
 * zero. Integers are in host byte order unless a name ends in _be. Addresses
 * are four 32-bit words, most significant first, host order in each word; an
 * IPv4 address uses word 0 alone.
 *
 * Tables. One generation of policy lives in one of two slots (generation & 1).
 * A table is a memory-mapped array of blocks of 4096 bytes; slot s begins at
 * block s * capacity. Entry i of an array of n-byte entries is therefore in
 * block s * capacity + i / (4096 / n).
 *
 *   roots    u64  {first, count}: [0, 64k) IPv4 by its top 16 bits, [64k, 128k)
 *                 IPv6 by its top 16 bits, then the entries of nodes
 *   ranges4  u32  start << 16 | class, start = low 16 bits of the address; and
 *            64 B struct line: ranges of IPv6
 *   ranges6  16 B {start, value, count}
 *   cells    u16  a heap: class -> row, service class -> column, verdict cells
 *   services u16  service point -> service class
 *   rules    8 B  struct rule
 *   policies      struct policy (an array of its own element size)
 *   text     u8   what user space wants to read back: policy text and names
 *
 * An address finds its class thus: entry = roots[top 16 bits]; while count has
 * ROOT_NODE, entry = roots[NODES + first + next bits], as many as NODE_WIDTH
 * says; count 0 means class = first; otherwise the last of ranges[first .. first +
 * count) whose start is not above the address. IPv4 has at most one node level.
 *
 * An IPv6 node first skips bits that all its ranges have in common: 0 to 16, their
 * number and value in the count beside the width. An address with lower bits
 * there is sent to the entry behind the last one, an address with higher ones to
 * the next after that; both are classes. The entries of a node with NODE_WIDE, but
 * for those two, are struct wide_root, each in the place of four others, and the
 * first begins at a multiple of four.
 *
 * A count with ROOT_LINES says how many lines the ranges fill, from lines[first] on;
 * where it is more than one, the entry is a wide one. It knows where those lines
 * end, and each line where its ranges do, in the 32 bits of the address that follow
 * those by which nodes were found: as many ends as are below the address, so many
 * lines or ranges come before its own. Unused ends are all ones: below nothing.
 *
 * A line has up to thirteen ranges, of up to three classes: codes has two bits for
 * each, the place of its class in classes, or CODE_LONG. The ranges6 of those begin
 * at longs, in order. Other ranges6 are found without lines, and compare the upper
 * 64 bits; when one has a count of its own, the address is equal in all of them and
 * ranges6[value .. value + count) compares the lower 64.
 *
 * Up to 1,024 ranges of an IPv4 entry lie in one block of ranges4: one look at the
 * table finds them all.
 *
 * On addresses that were not met before, memory is the cost: what the processor's
 * cache holds no more takes ten times as long. So lines are full, whatever the
 * shape of a list, and what leads to them is a sixth of their size and stays in the
 * cache: one line of the cache has to come from memory.
 */
#ifndef CGFW_ABI_H
#define CGFW_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define ABI_VERSION 3

#define BLOCK_SIZE 4096

/* The text of a slot begins with words {magic, generation, ...}. */
#define TEXT_GENERATION 4

/* Service points: what `ports` chooses among, on one axis. */
#define POINT_TCP 0
#define POINT_UDP 65536
#define POINT_SCTP 131072
#define POINT_ICMP 196608   /* + ICMP type */
#define POINT_ICMPV6 196864 /* + ICMPv6 type */
#define POINT_PROTO 197120  /* + protocol: without ports, or ports unreadable */
#define POINTS 197376

#define ROOTS6 65536
#define NODES 131072

/* In an entry's count: what it leads to. */
#define ROOT_NODE 0x80000000U
#define ROOT_LINES 0x40000000U
/* Below ROOT_NODE: bits of the index, bits skipped before them, value of those. */
#define NODE_WIDTH 0xfU
#define NODE_SKIP 4
#define NODE_SKIPPED 0x1fU
#define NODE_COMMON 9
#define NODE_WIDE 0x02000000U
/* Where NODE_WIDE stands so that it says log2 of WIDE_PLACES. */
#define NODE_WIDE_SHIFT 24
#define NODE_WIDE_PLACES 2U
/* Nodes on the way to an IPv6 range, at most: eight that divide, one that only makes wide. */
#define NODE_LEVELS6 9

/* Ends of ranges in a line, and of lines behind a wide entry: of all but the last. */
#define LINE_LASTS 12
#define WIDE_LASTS 6
/* Entries in whose place a wide one stands. */
#define WIDE_PLACES 4
/* Bits of a code in a line, and the one that is no class: see ranges6. */
#define CODE_BITS 2
#define CODE_LONG 3U

enum direction_index { EGRESS = 0, INGRESS = 1 };

enum action { ACTION_ALLOW = 0, ACTION_DROP = 1, ACTION_REJECT = 2 };

enum log_level { LOG_NONE = 0, LOG_DENIED = 1, LOG_NEW = 2, LOG_ALL = 3 };

enum hook {
	HOOK_CONNECT = 0,
	HOOK_SENDMSG = 1,
	HOOK_EGRESS = 2,
	HOOK_INGRESS = 3,
	HOOK_XDP = 4,
	HOOK_SOCKET = 5,
};

#define POLICY_AUDIT 1U
#define POLICY_RAW_DENY 2U
#define POLICY_ACCELERATE 4U
/* Logs more than what it denies, as a rule. */
#define POLICY_LOUD 8U

/* Nothing is denied in this direction, nor logged as new: replies need no remembered state. */
#define DIRECTION_OPEN 1U
/* All addresses are treated alike: columns are rules. All services are: rows are rules. */
#define DIRECTION_ONE_ROW 2U
#define DIRECTION_ONE_COLUMN 4U
/* Denied by default. */
#define DIRECTION_CLOSED 8U

/* One word decides which generation is in force; storing it is the commit. */
struct control {
	__u64 generation;	/* slot = generation & 1; 0 = nothing in force */
	__u32 abi;
	__u32 event_rate;	/* events a second, rule and CPU; 0 = no limit */
	__u64 asleep;		/* 1: the reader of events waits to be woken; a sender clears it */
	__u64 vacated;		/* nobody reads the idle slot since this generation came into force */
	__u64 assigned;		/* counts assignments in force at once, without a switch */
	__u8 pad[8];
	__u64 ring_half;	/* bytes in the ring at which a reader is woken */
	__u64 netns;		/* inode of the network namespace of our interfaces, 0 = none */
};
_Static_assert(sizeof(struct control) == 64, "control");

/* In cgroup storage, one for each attached cgroup, shared by all its hooks. */
struct owner {
	__u32 policy[2];	/* by slot: index in policies, 0 = none */
};
_Static_assert(sizeof(struct owner) == 8, "owner");

/* Places for interfaces, and how many of them are looked at for one interface. */
#define INTERFACES 8192
#define INTERFACE_PROBES 8

/* In one of the INTERFACE_PROBES places from ifindex % INTERFACES on. */
struct interface_owner {
	__u32 policy[2];	/* by slot: index in policies, 0 = none */
	__u32 ifindex;		/* 0 = the place is free */
	__u32 refusal;		/* errno with which native mode was refused, for people */
};
_Static_assert(sizeof(struct interface_owner) == 16, "interface_owner");

/* Rows, columns and cells are offsets in cells; rules are offsets in rules. */
struct direction {
	__u32 row_base;		/* cells[row_base + class] = row, or rule */
	__u32 col_base;		/* cells[col_base + service class] = column, or rule */
	__u32 cell_base;	/* cells[cell_base + row * cols + column] = rule */
	__u32 cols;
	__u32 rule_base;	/* rules[rule_base + rule] */
	__u32 default_rule;	/* relative to rule_base, like a cell */
	__u32 unparsable_rule;	/* for packets that cannot be read */
	__u32 flags;		/* DIRECTION_* */
};
_Static_assert(sizeof(struct direction) == 32, "direction");

struct policy {
	__u32 flags;		/* POLICY_* */
	__u32 raw_rule;		/* absolute index in rules: raw sockets denied */
	struct direction direction[2];
};
_Static_assert(sizeof(struct policy) == 72, "policy");

struct rule {
	__u8 action;		/* enum action */
	__u8 log;		/* enum log_level */
	__u16 pad;
	__u32 counter;		/* index in counters and limits */
};
_Static_assert(sizeof(struct rule) == 8, "rule");

struct root {
	__u32 first;
	__u32 count;
};
_Static_assert(sizeof(struct root) == 8, "root");

struct line {
	__u32 last[LINE_LASTS];
	__u32 codes;
	__u32 longs;		/* index in ranges6 */
	__u16 classes[4];	/* the last one is zero */
};
_Static_assert(sizeof(struct line) == 64, "line");

struct wide_root {
	struct root root;
	__u32 last[WIDE_LASTS];
};
_Static_assert(sizeof(struct wide_root) == 32, "wide_root");

struct range6 {
	__u64 start;
	__u32 value;		/* class, or first lower range when count > 0 */
	__u32 count;
};
_Static_assert(sizeof(struct range6) == 16, "range6");

/* Blocks in one slot of each table; policies counts elements. */
struct capacity {
	__u32 roots;
	__u32 ranges4;
	__u32 ranges6;
	__u32 cells;
	__u32 services;
	__u32 rules;
	__u32 policies;
	__u32 text;
};
_Static_assert(sizeof(struct capacity) == 32, "capacity");

struct counter {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct counter) == 16, "counter");

/* Events of one rule on one CPU in the current second. */
struct limit {
	__u64 second;
	__u32 used;
	__u32 pad;
	__u64 suppressed;	/* in all, ever */
};
_Static_assert(sizeof(struct limit) == 24, "limit");

/* What went wrong or was given up, counted for each CPU. */
enum fault {
	FAULT_LOST = 0,		/* no room in the event ring */
	FAULT_SUPPRESSED = 1,	/* event over its rule's rate */
	FAULT_UNPARSABLE = 2,	/* packet that could not be read */
	FAULT_FLOW = 3,		/* socket storage could not be made */
	FAULT_PEER = 4,		/* peer table refused an entry */
	FAULT_TABLE = 5,	/* an index led outside the tables: a bug */
	FAULT_EMITTED = 6,	/* not a fault: events submitted */
	FAULT_NOT_IP = 7,	/* not a fault: frames that no rule is about */
	FAULT_MAX = 8,
};

/* Who began: 0 = not known. */
enum starter { STARTED_UNKNOWN = 0, STARTED_EGRESS = 1, STARTED_INGRESS = 2 };

/* The remote end of an exchange without a connection, for one socket. */
struct peer_key {
	__u64 cookie;		/* socket cookie */
	__u32 address[4];
	__u16 port;		/* remote port, or ICMP echo id */
	__u8 protocol;
	__u8 pad[5];
};
_Static_assert(sizeof(struct peer_key) == 32, "peer_key");

/* Socket storage; an accepted socket gets a copy of its listener's. */
struct flow {
	__u32 starter;		/* enum starter, TCP */
	__u32 pid;
	char comm[16];
	__u32 peer_address[4];	/* first peer without a connection */
	__u16 peer_port;
	__u8 peer_protocol;
	__u8 peer_starter;	/* enum starter; 0 = no peer noted */
	__u32 lock;		/* bpf_spin_lock, held while the peer is noted */
};
_Static_assert(sizeof(struct flow) == 48, "flow");

/* Cgroups of a socket's path that are looked at, from the one below the root down. */
#define PATH_DEPTH 8

/* Policies, of both ends together, that may judge an accelerated connection. */
#define JUDGES 8

/* Which policy a cgroup has, for a program that is not attached to one: struct owner by id. */
#define MEMBERS 65536

/*
 * One end of a TCP connection. An IPv4 address is ::ffff:a.b.c.d, so that a
 * dual-stack socket and its IPv4 peer agree.
 */
struct end_key {
	__u64 netns;		/* cookie of the network namespace */
	__u32 local[4];
	__u32 remote[4];
	__u16 local_port;
	__u16 remote_port;
	__u32 pad;
};
_Static_assert(sizeof(struct end_key) == 48, "end_key");

/* Ids of the cgroups that a socket belongs to; 0 = none so deep. */
struct path {
	__u64 cgroup[PATH_DEPTH];
};
_Static_assert(sizeof(struct path) == 64, "path");

enum end_state { END_ANNOUNCED = 1, END_OPEN = 2 };

/* What one end of a connection says of itself to the other. */
struct end {
	struct path path;
	__u64 socket;		/* address of its struct sock, only ever looked at */
	__u32 sent;		/* sequence numbers when it was established */
	__u32 received;
	__u32 state;		/* enum end_state */
	__u32 is_shared;	/* several tasks have sent, or closed: one may still be at it */
	__u64 has_sent;
	__u64 is_passed;	/* the connection goes by TCP, for good */
};
_Static_assert(sizeof(struct end) == 104, "end");

enum stream_state {
	STREAM_NONE = 0,	/* not established, or a listener */
	STREAM_OPEN = 1,	/* in the table, nothing sent yet */
	STREAM_REDIRECTED = 2,
	STREAM_PASSED = 3,	/* still in the table; goes by TCP, for good */
	STREAM_EXCLUDED = 4,	/* not in the table, and must not come into it (again) */
};

/* Socket storage of what may be accelerated; an accepted socket gets a copy of its listener's. */
struct stream {
	struct path path;
	struct end_key own;
	struct end_key peer;	/* the other end's key */
	__u64 generation;	/* the one in which it was judged */
	__u64 assigned;		/* and after how many assignments without a switch */
	__u64 peer_socket;	/* address of the other end's struct sock */
	__u64 waiting;		/* bytes in the other end's queue at the last look */
	__u64 order;		/* see flight.h */
	__u32 sent;		/* sequence numbers when it was established */
	__u32 received;
	__u32 state;		/* enum stream_state */
	__u32 starter;		/* enum starter */
	__u32 sender;		/* task that sends */
	__u32 charge;		/* bytes since the last look at the other end's queue */
	__u32 messages;		/* messages since then */
	__u32 small_looks;	/* looks one after the other that found a stream of small messages */
	__u32 judges;		/* how many of counter[] are used */
	__u32 counter[JUDGES];	/* of the rules that allow it */
	__u32 pad;
};
_Static_assert(sizeof(struct stream) == 272, "stream");

/* What became of local TCP connections between cgroups that accelerate, for each CPU. */
enum acceleration {
	ACCELERATED = 0,	/* directions of connections that were redirected */
	ACCELERATED_MESSAGES = 1,
	ACCELERATED_BYTES = 2,
	/* Why a direction of a connection went, or returned, to TCP. */
	PASSED_DATA = 3,	/* bytes had gone by TCP before: Fast Open, a send while connecting */
	PASSED_NO_PEER = 4,	/* the other end was not there (yet), or is gone */
	PASSED_TAKEN = 5,	/* another socket has the same addresses and ports */
	PASSED_FULL = 6,	/* no room in a table */
	PASSED_DENIED = 7,	/* a rule denies it, or only lets it pass for audit */
	PASSED_LOGGED = 8,	/* a rule logs every packet */
	PASSED_BACKLOG = 9,	/* the other end does not read */
	PASSED_OFF = 10,	/* the policy does not accelerate (any more) */
	PASSED_OUTDATED = 11,	/* programs and tables were replaced */
	PASSED_DEEP = 12,	/* too many cgroups above the socket, or policies */
	PASSED_OPTION = 13,	/* MSG_ZEROCOPY, an upper layer protocol, or MPTCP */
	PASSED_SMALL = 14,	/* a stream of small messages, which TCP carries quicker */
	PASSED_WITH_PEER = 15,	/* the other direction went back */
	PASSED_INTERFACE = 16,	/* a policy judges the frames of the loopback interface */
	ACCELERATION_MAX = 17,
};

struct event {
	__u64 time_ns;		/* CLOCK_BOOTTIME or CLOCK_MONOTONIC, see event.h */
	__u64 generation;
	__u64 cookie;		/* socket cookie, 0 = none */
	__u64 cgroup;		/* id of the socket's cgroup */
	__u32 rule;		/* absolute index in rules of that generation */
	__u32 pid;
	__u32 length;		/* bytes of the packet from its IP header on */
	__u32 ifindex;
	__u32 source[4];
	__u32 destination[4];
	__u16 source_port;
	__u16 destination_port;	/* ICMP: type */
	__u8 hook;		/* enum hook */
	__u8 action;		/* enum action as decided */
	__u8 audit;		/* 1: decided, but let pass */
	__u8 family;		/* 4 or 6 */
	__u8 protocol;
	__u8 pad[7];
	char comm[16];
};
_Static_assert(sizeof(struct event) == 112, "event");

/* Argument and answer of the explain program. */
struct question {
	__u32 policy;		/* in: index in policies of the loaded slot */
	__u32 direction;	/* in: enum direction_index */
	__u32 family;		/* in: 4 or 6 */
	__u32 point;		/* in: service point */
	__u32 address[4];	/* in: remote address */
	__u32 unparsable;	/* in: 1 = ask for what cannot be read */
	__u32 rule;		/* out: absolute index in rules */
	__u32 action;		/* out: enum action */
	__u32 class_id;		/* out: address class */
	__u64 generation;	/* out: which generation answered, 0 = none */
};
_Static_assert(sizeof(struct question) == 56, "question");

#endif
