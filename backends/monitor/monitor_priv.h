/*
 * The inside of struct monitor, for backends/monitor/monitor*.c only.
 *
 * monitor.c has its life, the connection and what it says there; monitor_start.c what START and
 * CONFIGURE bring; monitor_verb.c what is done to the machine while it runs; monitor_exec.c the
 * sessions of a container. All of it is the loop's thread, but for monitor_ended().
 */
#ifndef BACKENDS_MONITOR_MONITOR_PRIV_H
#define BACKENDS_MONITOR_MONITOR_PRIV_H

#include <stdatomic.h>

#include "backends/monitor/monitor.h"
#include "backends/monitor/wire.h"

struct monitor {
	struct engine_host host; /* first: host_monitor() */
	const struct monitor_hooks *hooks;
	const struct engine *engine;
	void *self; /* the engine's; NULL before start and after the end */
	struct machine_config config;
	bool has_config;
	char name[64];
	char uuid[40];
	struct event *accept_event, *message_event, *ended_event, *timer;
	int listener;
	int daemon;	      /* the connection, or -1 */
	uint32_t connections; /* so many there were */
	int ended_fd;
	int fd[WIRE_ROLE_ENGINE]; /* those of the roles that are the monitor's own */
	struct engine_page *page;
	uint64_t tag;	      /* the daemon's name for config */
	bool awaits_groups;   /* there was a START, of which was made what could be ... */
	struct err unstarted; /* ... or not: why */
	enum wire_run run;
	struct ending ending; /* written once, by ended(), before ended_once is published */
	atomic_bool ended_once;
	struct monitor_place place;
	bool again;		      /* said so */
	struct wire_message *message; /* the one in hand; most of its room is never touched */
};

/* Whose the engine's host is. */
static inline struct monitor *host_monitor(struct engine_host *host)
{
	return (struct monitor *)host;
}

/* What is said goes to the daemon that is there, if one is. */
void monitor_say(struct monitor *m, enum wire_type type, uint32_t seq, const void *body, size_t len,
		 const int *fds, int nfds);
/* seq: of the verb that it answers, or 0. */
void monitor_say_state(struct monitor *m, uint32_t seq);
/* seq: of the START that it answers, or 0. */
void monitor_say_hello(struct monitor *m, uint32_t seq);
void monitor_reply(struct monitor *m, uint32_t seq, int code, const struct err *e);

/* What it is when it is held there, or no more. */
enum wire_run monitor_held(enum engine_hold hold);
/* Refuses what would act inside a container that has not entered its root, but the host's. */
int monitor_refuse_outside(struct err *e);

/* Where the descriptor of a role is kept; role: below WIRE_ROLE_PART. */
int *monitor_slot(struct monitor *m, unsigned role);
/* Those of parts that the engine has not taken. */
void monitor_close_parts(struct monitor *m);

/* Each does what the message in hand says, and answers. */
void monitor_handle_start(struct monitor *m);
void monitor_handle_groups(struct monitor *m);
void monitor_handle_configure(struct monitor *m);
void monitor_handle_verb(struct monitor *m);
void monitor_handle_input(struct monitor *m);
void monitor_handle_exec_start(struct monitor *m);
void monitor_handle_exec_input(struct monitor *m);
void monitor_handle_exec_signal(struct monitor *m);

/* By which a container's engine tells of its sessions. */
extern const struct exec_listener monitor_exec_listener;

#endif
