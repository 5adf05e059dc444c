/*
 * The wire between the daemon and a monitor: messages on a SOCK_SEQPACKET socket.
 *
 * Each message is one packet: a struct wire_header, then the body that its type says, then for
 * some types free bytes, then descriptors by SCM_RIGHTS. Nothing holds a pointer. Either side
 * treats what it receives as hostile: wire_recv() checks header, version, direction, length
 * and number of descriptors against one table before anybody looks at the body, and every
 * string in a body is cut at its array's end.
 *
 * A connection begins with the states of the container's sessions that run, and the monitor's
 * HELLO. The daemon sends START once for a machine, as the first message; with one that says
 * so the machine starts when GROUPS has come, too, which has its number: so a monitor makes itself
 * ready while the control groups are made. Every VERB, START, CONFIGURE and EXEC message is
 * answered by exactly one REPLY with its sequence number, but for these, which are that at once,
 * since there was no error: another HELLO, with START's number, when the machine runs; the STATE
 * that a VERB with WIRE_VERB_ONE brought about, with the verb's; and the EXEC_STATE of a session
 * whose program runs, with EXEC_START's. STATE and EXEC_STATE come also unasked, whenever the state
 * changes, and NOTICE when there is one; AGAIN before the last STATE of one that can be ADOPTed
 * anew.
 *
 * The daemon and its opener (opener.h) speak in the same manner, each OPEN, CHECK_MAP and
 * FIND_USER answered by one OPENED; and with an importer (image/importer.h), whose one IMPORT is
 * answered by IMPORTED. A monitor that waits for a machine is told ADOPT (spare.h), which is not
 * answered; one that others are copied from, COPY, which COPIED answers.
 */
#ifndef BACKENDS_MONITOR_WIRE_H
#define BACKENDS_MONITOR_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/engine.h"

#define WIRE_VERSION	6
#define WIRE_MAX	(128u * 1024) /* bytes in one message */
#define WIRE_CONFIG_MAX (WIRE_MAX - 2048)
#define WIRE_FDS_MAX	250 /* the kernel takes three more */
#define WIRE_RANGES_MAX 340 /* the kernel takes no more lines in a map of ids */

enum wire_type {
	WIRE_START = 1, /* daemon: struct wire_start, config text; descriptors as roles say */
	WIRE_VERB,	/* daemon: struct wire_verb */
	WIRE_INPUT,	/* daemon: bytes typed on the console */
	WIRE_CONFIGURE, /* daemon: struct wire_configure, config text; descriptors likewise */
	WIRE_HELLO,	/* monitor: struct wire_hello */
	WIRE_REPLY,	/* monitor: struct wire_reply */
	WIRE_STATE,	/* monitor: struct wire_state */
	WIRE_GREW,	/* monitor: the console's log has grown */
	WIRE_NOTICE,	/* monitor: struct wire_notice */
	WIRE_OPEN,	/* asker: struct wire_open, the path (opener.h) */
	WIRE_CHECK_MAP, /* asker: struct wire_check_map, struct id_map_range for each line */
	WIRE_FIND_USER, /* asker: struct wire_find_user */
	WIRE_OPENED,	/* opener: struct wire_opened, and what was opened */
	WIRE_IMPORT,	/* asker: struct wire_import (image/importer.h) */
	WIRE_IMPORTED,	/* importer: struct wire_imported, lines of how its program is run */
	/* Sessions; the monitor's and the daemon's (wire_exec.h): */
	WIRE_EXEC_START,  /* daemon: struct wire_exec, texts, descriptors of exec_spec */
	WIRE_EXEC_INPUT,  /* daemon: struct wire_exec_id, bytes; none: there is no more */
	WIRE_EXEC_SIGNAL, /* daemon: struct wire_exec_signal */
	WIRE_EXEC_STATE,  /* monitor: struct wire_exec_state */
	WIRE_EXEC_GREW,	  /* monitor: struct wire_exec_grew */
	WIRE_ADOPT,	  /* asker: struct wire_adopt, descriptors (spare.h) */
	WIRE_COPY,   /* asker: the socket that a copy of the process is to have in place of this */
	WIRE_COPIED, /* monitor: struct wire_copied */
	WIRE_GROUPS, /* daemon: struct wire_groups; descriptors as roles say */
	WIRE_AGAIN,  /* monitor: when its machine has ended it can serve another one (spare.h) */
	WIRE_TYPE_END,
};

struct wire_header {
	uint16_t version;
	uint16_t type;
	uint32_t seq; /* chosen by the daemon, repeated in the answer; 0 in what is unasked */
};

/* Roles of descriptors: those of the monitor, then enum engine_fd, then those of parts. */
enum wire_role {
	WIRE_ROLE_LOG, /* console log, see console.h */
	WIRE_ROLE_OLD,
	WIRE_ROLE_EXIT,	    /* file that gets the ending's text, kept while no daemon listens */
	WIRE_ROLE_COUNTERS, /* memfd of a struct engine_page, sealed against resizing */
	WIRE_ROLE_ENGINE,   /* the first of ENGINE_FD_COUNT */
	WIRE_ROLE_PART = WIRE_ROLE_ENGINE + ENGINE_FD_COUNT, /* see struct wire_fd */
	WIRE_ROLE_END,
};

/* What a descriptor is for. The rest is said of WIRE_ROLE_PART only. */
struct wire_fd {
	uint8_t role;
	uint8_t kind;  /* enum part_kind */
	uint8_t index; /* of the part in the configuration that it comes with */
	uint8_t which; /* see engine_take_fd() */
};

struct wire_start {
	char name[64];
	char uuid[40];
	uint32_t kind; /* enum machine_kind */
	uint32_t uid;
	uint32_t gid;
	uint32_t nfds;
	uint64_t tag;	 /* the daemon's name for this configuration, which HELLO repeats */
	uint32_t hold;	 /* enum engine_hold */
	uint32_t groups; /* 1: GROUPS follows */
	struct wire_fd roles[WIRE_FDS_MAX];
};

/* Of the machine's control groups: so many beside ENGINE_CGROUP_MAX as an engine knows. */
#define WIRE_GROUPS_MAX (ENGINE_CGROUP_MAX + 8)
struct wire_groups {
	uint32_t nfds;
	uint32_t reserved;
	struct wire_fd roles[WIRE_GROUPS_MAX];
};

/* The configuration that the running machine is to have; it has another one until REPLY says 0. */
struct wire_configure {
	uint64_t tag;
	uint32_t nfds;
	uint32_t reserved;
	struct wire_fd roles[WIRE_FDS_MAX]; /* of parts only */
};

enum wire_verb_code {
	VERB_STOP = 1, /* arg: seconds until it is killed */
	VERB_KILL,
	VERB_PAUSE,
	VERB_RESUME,
	VERB_RESET,
	VERB_SIGNAL,  /* arg: signal number */
	VERB_DUMP,    /* with a descriptor: the file */
	VERB_RELEASE, /* arg: enum engine_hold, to where; answered when it is there */
	VERB_END,
};

/* Who sends it knows of such a STATE; others do not look at the flags, or have none. */
#define WIRE_VERB_ONE 1u

struct wire_verb {
	uint32_t verb;
	uint32_t flags;
	int64_t arg;
};

/* A machine's state as the monitor knows it; the daemon's `stopped` has no monitor. */
enum wire_run {
	RUN_NEW,
	RUN_RUNNING,
	RUN_PAUSED,
	RUN_STOPPING,
	RUN_ENDED,
	RUN_OUTSIDE, /* held: see enum engine_hold */
	RUN_INSIDE,
	RUN_END,
};

struct wire_ending {
	uint32_t kind; /* enum ending_kind */
	int32_t code;
	char why[256];
};

struct wire_state {
	uint32_t run; /* enum wire_run */
	int32_t pid;  /* a container's init, else 0 */
	struct wire_ending ending;
};

struct wire_hello {
	struct wire_state state;
	char tty[64];
	uint32_t has_counters; /* 1: a descriptor follows */
	uint32_t has_layer;    /* 1: another one, engine.layer()'s */
	uint64_t tag;	       /* of the configuration that it has */
};

/* Sessions: see struct exec_spec, struct exec_state. */
struct wire_exec {
	uint64_t id;
	uint32_t uid;
	uint32_t gid;
	uint32_t tty;	  /* 0 or 1 */
	uint32_t nenv;	  /* variables */
	uint32_t streams; /* bit N: there is a descriptor for its N, behind those of enum exec_fd */
	uint32_t ngroups;
	uint32_t groups[INIT_GROUPS_MAX];
};

struct wire_exec_id {
	uint64_t id;
};

struct wire_exec_signal {
	uint64_t id;
	int64_t signo;
};

struct wire_exec_state {
	uint64_t id;
	struct wire_state state; /* RUN_RUNNING or RUN_ENDED */
};

struct wire_exec_grew {
	uint64_t id;
	uint64_t streams;
};

struct wire_reply {
	int32_t code; /* 0 or a negative errno */
	char text[400];
};

struct wire_notice {
	uint32_t notice; /* enum engine_notice */
	char text[200];
};

struct wire_open {
	uint64_t avoid;
	uint32_t uid;
	uint32_t gid;
	uint32_t kind;	/* enum hostpath_kind */
	uint32_t check; /* 1: whether it could be opened is all that is asked */
	char what[96];
};

struct wire_check_map {
	uint32_t uid;
	uint32_t gid;
};

struct wire_find_user {
	uint32_t uid;
	uint32_t gid;
};

struct wire_opened {
	struct wire_reply reply;
	uint32_t gid; /* FIND_USER: his main group */
};

struct wire_adopt {
	char title[96];
};

struct wire_copied {
	int32_t pid; /* below 0: it could not be made */
};

/* What an importer is to do, with these descriptors in this order. */
enum import_task {
	IMPORT_UNPACK, /* the image's data directory, the source, its page of progress */
	IMPORT_VERIFY, /* the data directory, nothing (itself again), the page */
	IMPORT_REMOVE, /* the directory that has the name in `name`: the one task without a page */
	IMPORT_TASKS,
};

struct wire_import {
	uint32_t task;
	uint32_t type; /* enum image_type */
	uint32_t uid;  /* the image's owner */
	uint32_t gid;
	uint64_t bytes_max; /* of IMPORT_VERIFY: as many as were unpacked */
	char name[256];	    /* source.ref; of what is to be removed */
	char digest[72];    /* that the source must have, or "" */
};

struct wire_imported {
	struct wire_reply reply;
	uint32_t type;	    /* what it turned out to be */
	char digest[72];    /* of the source */
	char tree[72];	    /* of what was unpacked */
	uint64_t counts[5]; /* struct tree_counts */
};

/* So many more descriptors can come where credentials were given room for, and have not come. */
#define WIRE_FDS_SPARE 8

/* One received message. body is aligned and NUL-terminated after len bytes. */
struct wire_message {
	struct wire_header header;
	size_t len;   /* of the body and the free bytes */
	size_t extra; /* how many of them are free bytes, after the fixed body */
	int nfds;
	int fds[WIRE_FDS_MAX + WIRE_FDS_SPARE]; /* the receiver's: takes those it wants, sets -1 */
	pid_t pid; /* sender, by the kernel's word; 0 if SO_PASSCRED is off */
	_Alignas(8) char body[WIRE_MAX + 1];
};

/* Who may send a type: of another side's it is not well formed. */
enum wire_side { WIRE_DAEMON, WIRE_MONITOR, WIRE_ASKER, WIRE_OPENER, WIRE_IMPORTER };

/*
 * Sends one message without blocking. Returns 0; -EPIPE when the peer is gone; -EAGAIN when
 * its queue is full.
 */
int wire_send(int fd, enum wire_type type, uint32_t seq, const void *body, size_t len,
	      const void *extra, size_t extra_len, const int *fds, int nfds);

/*
 * Receives one message that `from` may send. Returns 1; 0 at the end of the connection;
 * -EAGAIN when there is none; -EPROTO for one that is not well formed (its descriptors are
 * closed; the connection should be, too); -EPROTONOSUPPORT likewise for one of another version,
 * of which only the version in the header and the sender are told.
 */
int wire_recv(int fd, enum wire_side from, struct wire_message *m);
/*
 * Likewise from a stranger, with room for so many descriptors: those beyond it the kernel drops,
 * which is the only end of a descriptor that never waits for a file system. Without room a message
 * that has some is as good as without. One that is not well formed is shunned.
 */
int wire_recv_few(int fd, enum wire_side from, int room, struct wire_message *m);

/* Closes the descriptors that were not taken. */
void wire_message_close(struct wire_message *m);
/* Likewise a stranger's: what is not memory stays open for good, since to close it may wait. */
void wire_message_shun(struct wire_message *m);

/* "poweroff", "exited 0", ...: the text of the `exit` file, without a newline. */
void ending_print(const struct ending *ending, char *buf, size_t size);
/* Makes that and a newline the content of a file, for the daemon that is not there to hear it. */
void ending_record(int fd, const struct ending *ending);
int ending_parse(const char *text, struct ending *ret);

void wire_ending_from(struct wire_ending *w, const struct ending *e);
/* Checks kind and cuts the sentence. */
void wire_ending_to(const struct wire_ending *w, struct ending *e);

#endif
