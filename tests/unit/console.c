/*
 * Unit test of struct console: when what is printed goes to the pty. The program's own write()
 * counts what a reader would be woken for.
 */
#include "backends/monitor/console.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/tap.h"

#define LINES 5000

struct rig {
	struct event_base *loop;
	struct console *console;
	int log;   /* a second descriptor of it */
	int slave; /* of the pty, and again one more */
	int told, typed;
};

static int master = -1;
static int writes; /* to it */

ssize_t write(int fd, const void *data, size_t len)
{
	writes += fd == master;
	return syscall(SYS_write, fd, data, len);
}

static void on_grew(void *arg)
{
	((struct rig *)arg)->told++;
}

static void on_typed(void *arg, const void *data, size_t len)
{
	struct rig *r = arg;

	r->typed++;
	console_output(r->console, data, len);
}

static void rig_new(struct rig *r)
{
	static const struct console_ops ops = { on_grew, on_typed };
	int log = memfd_create("log", MFD_CLOEXEC), old = memfd_create("old", MFD_CLOEXEC);
	struct pty pty;

	*r = (struct rig){ .loop = event_base_new(), .log = dup(log) };
	pty_open(&pty);
	master = pty.master;
	r->slave = dup(pty.slave);
	fcntl(r->slave, F_SETFL, O_NONBLOCK);
	writes = 0;
	ok(console_new(r->loop, log, old, &pty, &ops, r, &r->console, NULL) == 0, "a console");
}

static void rig_free(struct rig *r)
{
	console_free(r->console);
	event_base_free(r->loop);
	close(r->log);
	close(r->slave);
	master = -1;
}

static void print(struct rig *r, const char *text)
{
	console_output(r->console, text, strlen(text));
}

/* Whether so many bytes have come to the pty, and to the log, and are these. */
static bool shown(struct rig *r, const char *text)
{
	struct pollfd p = { .fd = r->slave, .events = POLLIN };
	size_t want = strlen(text), have = 0;
	char *buf = malloc(want + 1);
	bool same;

	while (have < want && poll(&p, 1, 10000) == 1) {
		ssize_t n = read(r->slave, buf + have, want + 1 - have);

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	same = have == want && memcmp(buf, text, want) == 0;
	free(buf);
	return same;
}

static bool logged(struct rig *r, const char *text)
{
	char buf[256];
	ssize_t n = pread(r->log, buf, sizeof(buf), 0);

	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

/* Until the loop has nothing more to do: the intervals are over. */
static void be_silent(struct rig *r)
{
	int told;

	do {
		struct timeval more = { .tv_usec = 50000 };

		told = r->told;
		event_base_loopexit(r->loop, &more);
		event_base_dispatch(r->loop);
	} while (told != r->told);
}

static void test_pieces(void)
{
	struct rig r;

	rig_new(&r);
	print(&r, "l");
	ok(writes == 1 && shown(&r, "l"), "the first word after silence is shown at once");
	for (const char *p = "ogin: "; *p; p++)
		console_output(r.console, p, 1);
	ok(writes == 1, "what follows byte by byte is not written byte by byte");
	ok(logged(&r, "login: "), "but the log has it all");
	event_base_loop(r.loop, EVLOOP_ONCE);
	ok(writes == 2 && shown(&r, "ogin: "), "the loop writes it in one piece");
	ok(r.told == 1, "and tells of it");
	print(&r, "P");
	print(&r, "a");
	ok(writes == 2, "within the interval nothing is written");
	be_silent(&r);
	ok(writes == 3 && shown(&r, "Pa"), "at its end it is, in one piece");
	ok(r.told == 2, "and told of");
	print(&r, "s");
	ok(writes == 4 && shown(&r, "s"), "after a silent one the next is shown at once again");
	print(&r, "s");
	rig_free(&r);
}

static void test_echo(void)
{
	struct rig r;

	rig_new(&r);
	print(&r, "$");
	shown(&r, "$");
	event_base_loop(r.loop, EVLOOP_ONCE);
	print(&r, " ");
	ok(writes == 1, "in the middle of an interval");
	ok(syscall(SYS_write, r.slave, "k", 1) == 1, "a key is typed");
	while (!r.typed)
		event_base_loop(r.loop, EVLOOP_ONCE);
	ok(writes == 3 && shown(&r, " k"), "its echo is shown at once, behind what was printed");
	print(&r, "e");
	ok(writes == 3, "only that");
	rig_free(&r);
}

static void test_much(void)
{
	char *text = malloc(LINES + 1);
	struct rig r;

	for (int i = 0; i < LINES; i++)
		text[i] = (char)('a' + i % 26);
	text[LINES] = '\0';
	rig_new(&r);
	for (int i = 0; i < 2000; i++)
		console_output(r.console, text + i, 1);
	ok(writes > 1 && writes < 5, "more than there is room for goes on by itself");
	console_output(r.console, text + 2000, 1500);
	ok(writes < 7, "and so does what is large");
	console_output(r.console, text + 3500, 10);
	event_base_loop(r.loop, EVLOOP_ONCE);
	text[3510] = '\0';
	ok(shown(&r, text), "nothing is lost, and all in its order");
	free(text);
	rig_free(&r);
}

/* The terminal is gone with its console: what it had not been shown yet would be, too. */
static void test_end(void)
{
	struct rig r;

	rig_new(&r);
	print(&r, "p");
	print(&r, "anic");
	ok(writes == 1, "the last words");
	console_free(r.console);
	r.console = NULL;
	ok(writes == 2, "are written before the terminal goes");
	rig_free(&r);
}

int main(void)
{
	test_pieces();
	test_echo();
	test_much();
	test_end();
	return tap_done();
}
