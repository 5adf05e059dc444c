/*
 * The monitor: runs one machine, whichever kind it is, beside the daemon.
 *
 * monitor_main() is its only entry: in a process of its own (isolation = process), or on a
 * thread of the daemon (isolation = thread). All it shares with the daemon is the listening
 * socket it is given, on which the daemon connects (and, restarted, connects again) and speaks
 * wire.h, and the page of counters that START brings. It owns the machine's run-time: engine,
 * console, ending. It ends when the machine has ended; its process may then serve another one.
 */
#ifndef BACKENDS_MONITOR_MONITOR_H
#define BACKENDS_MONITOR_MONITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/base/err.h"
#include "backends/engine.h"
#include "backends/monitor/pty.h"

struct event_base;

/* What the monitor needs from the room above it. */
struct monitor_hooks {
	const struct engine *(*engine)(enum machine_kind kind);
	/* Parses the configuration that START brings; on success the monitor owns the strings. */
	int (*config_decode)(enum machine_kind kind, const char *text, size_t len,
			     struct machine_config *ret, struct err *e);
	void (*config_free)(struct machine_config *config);
	/* It may change the credentials and the name of the process, which ignores but SIGPIPE. */
	bool own_process;
};

/* What a process that has waited for its machine (spare_wait.h) has done already. */
struct monitor_place {
	bool walled; /* it is behind its walls, where there are no files */
	bool again;  /* the process can wait for another machine after this one */
	struct pty pty;
	struct event_base *loop;
	const struct engine *engine;
	void *prepared; /* by it */
};

/* Does what needs no machine, but for one of this kind. -errno: it can be no monitor any more. */
int monitor_prepare(const struct monitor_hooks *hooks, enum machine_kind kind,
		    struct monitor_place *place);
/* Of one that monitor_main() has not taken over. */
void monitor_place_free(struct monitor_place *place);

/*
 * Takes over listener (a listening SOCK_SEQPACKET socket) and returns when the machine has
 * ended, or could not be started, or when no daemon connected within ten seconds. Returns 0 for
 * a machine that ran, 1 if then the daemon was told that this process waits for another one. Takes
 * over what is in place; NULL: nothing has been done.
 */
int monitor_main(int listener, const struct monitor_hooks *hooks, struct monitor_place *place);

#endif
