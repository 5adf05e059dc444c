/* struct console: a bounded log and a pty; see console.h. */
#include "backends/monitor/console.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/monitor/growlog.h"

/* At most one `grew` in this time, so that a chatty machine does not flood the daemon. */
static const struct timeval grew_interval = { .tv_usec = 20000 };

struct console {
	const struct console_ops *ops;
	void *arg;
	pthread_mutex_t lock; /* guards log: output comes from any thread */
	struct growlog log;
	struct pty pty;
	int wake; /* eventfd: output has come */
	/*
	 * A serial line prints byte by byte, and to wake the loop for each would cost more than all
	 * else about it: so that is done only when the loop does not look by itself, at the end of
	 * the interval.
	 */
	atomic_bool looks;
	atomic_ullong printed;	 /* bytes */
	unsigned long long told; /* so many; loop thread */
	struct event *wake_event, *typed_event, *timer;
};

void console_output(struct console *c, const void *data, size_t len)
{
	const uint64_t one = 1;

	if (len == 0)
		return;
	pthread_mutex_lock(&c->lock);
	growlog_add(&c->log, data, len);
	pthread_mutex_unlock(&c->lock);
	/* Non-blocking: when nobody reads the pty, its buffer fills and the rest is dropped. */
	if (c->pty.master >= 0)
		(void)!write(c->pty.master, data, len);
	atomic_fetch_add(&c->printed, len);
	if (!atomic_exchange(&c->looks, true) && write(c->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: the loop is awake already */
}

static void console_tell(struct console *c)
{
	c->told = atomic_load(&c->printed);
	event_add(c->timer, &grew_interval);
	c->ops->grew(c->arg);
}

static void on_wake(int fd, short what, void *arg)
{
	struct console *c = arg;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) > 0 && !event_pending(c->timer, EV_TIMEOUT, NULL))
		console_tell(c);
}

/* Who prints after looks has been cleared wakes; what was printed before is seen. */
static void on_quiet_over(int fd, short what, void *arg)
{
	struct console *c = arg;

	atomic_store(&c->looks, false);
	if (atomic_load(&c->printed) != c->told) {
		atomic_store(&c->looks, true);
		console_tell(c);
	}
}

static void on_typed(int fd, short what, void *arg)
{
	struct console *c = arg;
	char buf[1024];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		c->ops->typed(c->arg, buf, (size_t)n);
}

int console_new(struct event_base *loop, int log, int old, struct pty *pty,
		const struct console_ops *ops, void *arg, struct console **ret, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return err_sys(e, ENOMEM, "console");
	c->ops = ops;
	c->arg = arg;
	c->log = (struct growlog){ -1, -1, 0 };
	pthread_mutex_init(&c->lock, NULL);
	c->pty = PTY_NONE;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake < 0) {
		err_sys(e, errno, "console: eventfd");
		goto fail;
	}
	c->wake_event = event_new(loop, c->wake, EV_READ | EV_PERSIST, on_wake, c);
	c->timer = evtimer_new(loop, on_quiet_over, c);
	if (pty->master >= 0)
		c->typed_event = event_new(loop, pty->master, EV_READ | EV_PERSIST, on_typed, c);
	if (!c->wake_event || !c->timer || (pty->master >= 0 && !c->typed_event) ||
	    event_add(c->wake_event, NULL) < 0 ||
	    (c->typed_event && event_add(c->typed_event, NULL) < 0)) {
		err_sys(e, ENOMEM, "console");
		goto fail;
	}
	if (growlog_init(&c->log, log, old, e) < 0) {
		err_prefix(e, "console: ");
		goto fail;
	}
	c->pty = *pty;
	*pty = PTY_NONE;
	*ret = c;
	return 0;
fail:
	console_free(c);
	return e ? e->code : -EIO;
}

const char *console_tty(const struct console *c)
{
	return c->pty.name;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	struct event *events[] = { c->wake_event, c->typed_event, c->timer };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	pty_close(&c->pty);
	if (c->wake >= 0)
		close(c->wake);
	growlog_close(&c->log);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
