/*
 * struct console: what a machine prints and what is typed to it.
 *
 * Output goes to a bounded log on disk (the `console` file, see growlog.h) and to a pty (the `tty`
 * link) for screen and picocom; what is typed on the pty goes to the machine. The monitor writes
 * the log itself: nothing is lost while the daemon is away. The log has each byte as soon as it is
 * printed. The pty has the first one after silence or after a key was typed as soon, and what
 * follows that in pieces.
 */
#ifndef BACKENDS_MONITOR_CONSOLE_H
#define BACKENDS_MONITOR_CONSOLE_H

#include <stddef.h>

#include "backends/base/err.h"
#include "backends/monitor/pty.h"

struct console;
struct event_base;

struct console_ops {
	/* Something was printed (coalesced); loop thread. */
	void (*grew)(void *arg);
	/* Typed on the pty; loop thread. */
	void (*typed)(void *arg, const void *data, size_t len);
};

/*
 * Takes over the descriptors log and old (read-write regular files; `log` is appended to) and the
 * pty: a machine without one still runs. Loop thread, as console_free(). On failure all stay the
 * caller's.
 */
int console_new(struct event_base *loop, int log, int old, struct pty *pty,
		const struct console_ops *ops, void *arg, struct console **ret, struct err *e);

/* The machine printed len bytes. Any thread; never blocks on a reader of the pty. */
void console_output(struct console *c, const void *data, size_t len);

/* The slave's path, "/dev/pts/N"; "" if there could be none. */
const char *console_tty(const struct console *c);

void console_free(struct console *c);

#endif
