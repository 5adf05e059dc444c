/*
 * The inside of struct link, for fs/machine/link*.c only.
 *
 * link.c has its life, from the socket's name to the monitor's end, and what it knows; link_told.c
 * what the monitor tells; link_ask.c what it is asked, and the answers that are awaited.
 */
#ifndef FS_MACHINE_LINK_PRIV_H
#define FS_MACHINE_LINK_PRIV_H

#include <sys/queue.h>
#include <time.h>

#include "backends/monitor/wire.h"
#include "fs/machine/link.h"

/* A request that the monitor has not answered yet. */
struct asked {
	LIST_ENTRY(asked) link;
	uint32_t seq;
	struct request *request;      /* NULL: its client has gone */
	link_answered *then;	      /* what to do with it */
	struct config_change *change; /* CONFIGURE's, or NULL */
	uint64_t exec;		      /* the session that is to start, or 0 */
};

struct link {
	struct machine *machine; /* NULL: retired, only its process is still to be reaped */
	LIST_ENTRY(link) retired;
	int fd;
	struct event *readable, *dead;
	struct event *patience; /* until it is killed that was told to kill its machine; or NULL */
	pid_t pid;		/* the monitor, by the kernel's word */
	int pidfd;		/* of a monitor in a process of its own, else -1 */
	pid_t machine_pid;	/* the machine's own, as the monitor says */
	char tty[64];
	const struct engine_page *page;
	int layer;  /* the machine's, or -1: open no longer than it runs, since it keeps a mount */
	int spare;  /* by which the monitor waits again (spare.h), or -1 */
	bool again; /* it has said that it will */
	int listener; /* its own, until it has said HELLO, or -1 */
	uint32_t seq, start_seq;
	uint16_t foreign;   /* the version of the protocol that it speaks, if it is not ours */
	bool ended;	    /* it has said how the machine ended */
	time_t reconnected; /* when, on the monotonic clock; 0: never */
	bool refused;	    /* it has said why the machine could not be started ... */
	struct err refusal; /* ... namely this */
	LIST_HEAD(, asked) asked;
	unsigned nasked;
};

/* An event on its connection. */
void link_on_readable(int fd, short what, void *arg);
/* Dials anew; false: it is not to be, or cannot. */
bool link_reconnect(struct link *l);
/* The monitor has closed the connection. */
void link_closed(struct link *l);
void link_drop_layer(struct link *l);
void link_drop_listener(struct link *l);

/* NULL: nothing was asked by that number. */
struct asked *asked_find(struct link *l, uint32_t seq);
/* Frees it. */
void asked_answer(struct link *l, struct asked *a, int rc, const struct err *e);
/* All that is asked gets this answer. */
void link_fail_asked(struct link *l, const struct err *e);
/* Refuses what a monitor of another version would not understand. */
int link_refuse_foreign(const struct link *l, struct err *e);

#endif
