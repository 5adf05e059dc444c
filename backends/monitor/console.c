/* struct console: a bounded log and a pty; see console.h. */
#include "backends/monitor/console.h"

#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/monitor/growlog.h"

/*
 * A serial line prints byte by byte. To wake the loop and whoever reads the pty for each of them
 * would cost more than all else about it, so both are done once in this time, by the loop.
 */
static const struct timeval interval = { .tv_usec = 20000 };
#define PIECE_MAX 1024u

struct console {
	const struct console_ops *ops;
	void *arg;
	pthread_mutex_t lock; /* output comes from any thread: guards log, and all down to piece */
	struct growlog log;
	bool looks; /* the loop will, by itself, at the end of the interval */
	bool grown; /* since ops were told */
	bool typed; /* something, and nothing has been printed since */
	size_t piece_len;
	char piece[PIECE_MAX]; /* printed, and not on the pty yet */
	struct pty pty;
	int wake; /* eventfd: output has come, and the loop would not look */
	struct event *wake_event, *typed_event, *timer;
};

/* Non-blocking: when nobody reads the pty, its buffer fills and the rest is dropped. */
static void pty_write(struct console *c, const void *data, size_t len)
{
	if (c->pty.master >= 0 && len > 0)
		(void)!write(c->pty.master, data, len);
}

/* The lock is held, as in the next. */
static void piece_write(struct console *c)
{
	pty_write(c, c->piece, c->piece_len);
	c->piece_len = 0;
}

/* Whoever looks at the terminal waits neither for the first word nor for the echo of a key. */
static void piece_add(struct console *c, const void *data, size_t len)
{
	bool now = !c->looks || c->typed;

	c->typed = false;
	if (now || len > PIECE_MAX - c->piece_len)
		piece_write(c);
	if (now || len > PIECE_MAX) {
		pty_write(c, data, len);
		return;
	}
	memcpy(c->piece + c->piece_len, data, len);
	c->piece_len += len;
}

void console_output(struct console *c, const void *data, size_t len)
{
	const uint64_t one = 1;
	bool looks;

	if (len == 0)
		return;
	pthread_mutex_lock(&c->lock);
	growlog_add(&c->log, data, len);
	piece_add(c, data, len);
	looks = c->looks;
	c->looks = c->grown = true;
	pthread_mutex_unlock(&c->lock);
	if (looks || write(c->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: the loop is awake already */
	/* It may wait for this CPU, which a vCPU would not leave for long. */
	sched_yield();
}

/* What has been printed in an interval, and whether the next is looked at by itself. */
static void console_look(struct console *c)
{
	bool grown;

	pthread_mutex_lock(&c->lock);
	piece_write(c);
	grown = c->looks = c->grown;
	c->grown = false;
	pthread_mutex_unlock(&c->lock);
	if (!grown)
		return;
	event_add(c->timer, &interval);
	c->ops->grew(c->arg);
}

static void on_wake(int fd, short what, void *arg)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) > 0)
		console_look(arg);
}

static void on_interval(int fd, short what, void *arg)
{
	console_look(arg);
}

static void on_typed(int fd, short what, void *arg)
{
	struct console *c = arg;
	char buf[1024];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)
		return;
	pthread_mutex_lock(&c->lock);
	c->typed = true;
	pthread_mutex_unlock(&c->lock);
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
	c->timer = evtimer_new(loop, on_interval, c);
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
	piece_write(c);
	pty_close(&c->pty);
	if (c->wake >= 0)
		close(c->wake);
	growlog_close(&c->log);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
