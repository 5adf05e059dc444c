/* The monitor's end of a container's console: see terminal.h. */
#include "backends/container/terminal.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Typed and not yet taken; what is more is dropped, as a tty does. */
#define INPUT_MAX (64u << 10)
#define READ_SIZE (16u << 10)
/* One turn of the loop, and the draining at the end: nobody's output may starve the others. */
#define TURN_MAX  (256u << 10)
#define DRAIN_MAX (4u << 20)

struct terminal {
	int master;
	int slave;
	struct event *readable;
	struct event *writable;
	struct evbuffer *typed;
	terminal_output *output;
	void *arg;
};

/* Reads until there is nothing more, or max bytes. False when the terminal was hung up. */
static bool read_some(struct terminal *t, size_t max)
{
	char buffer[READ_SIZE];

	for (size_t total = 0; total < max;) {
		ssize_t n = read(t->master, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		t->output(t->arg, buffer, (size_t)n);
		total += (size_t)n;
	}
	return true;
}

/* A container with CAP_SYS_TTY_CONFIG can hang it up for good; then there is no more to read. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct terminal *t = arg;

	if (!read_some(t, TURN_MAX))
		event_del(t->readable);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct terminal *t = arg;
	int n = evbuffer_write(t->typed, t->master);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		evbuffer_drain(t->typed, evbuffer_get_length(t->typed));
	if (evbuffer_get_length(t->typed) > 0)
		event_add(t->writable, NULL);
}

int terminal_new(struct event_base *loop, int master, int slave, terminal_output *output, void *arg,
		 struct terminal **ret, struct err *e)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t) {
		close(master);
		close(slave);
		return err_sys(e, ENOMEM, "console");
	}
	*t = (struct terminal){ .master = master, .slave = slave, .output = output, .arg = arg };
	t->typed = evbuffer_new();
	t->readable = event_new(loop, master, EV_READ | EV_PERSIST, on_readable, t);
	t->writable = event_new(loop, master, EV_WRITE, on_writable, t);
	if (!t->typed || !t->readable || !t->writable || event_add(t->readable, NULL) < 0) {
		terminal_free(t);
		return err_sys(e, ENOMEM, "console");
	}
	*ret = t;
	return 0;
}

void terminal_free(struct terminal *t)
{
	if (!t)
		return;
	if (t->readable)
		event_free(t->readable);
	if (t->writable)
		event_free(t->writable);
	if (t->typed)
		evbuffer_free(t->typed);
	close(t->master);
	close(t->slave);
	free(t);
}

size_t terminal_input(struct terminal *t, const void *data, size_t len)
{
	size_t room = INPUT_MAX - evbuffer_get_length(t->typed);

	if (len > room)
		len = room;
	if (!len || evbuffer_add(t->typed, data, len) < 0)
		return 0;
	on_writable(t->master, EV_WRITE, t);
	return len;
}

void terminal_drain(struct terminal *t)
{
	read_some(t, DRAIN_MAX);
}
