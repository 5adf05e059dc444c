/* The wire between daemon and monitor: what is well formed arrives, nothing else does. */
#include "backends/monitor/wire.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static int fd_count(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int s[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		exit(1);
}

static struct wire_message *message_new(void)
{
	return calloc(1, sizeof(struct wire_message));
}

/* A packet as it is, with n copies of stdin's descriptor. */
static void send_raw(int fd, const void *data, size_t len, int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 256)];
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		for (int i = 0; i < nfds; i++)
			((int *)(void *)CMSG_DATA(&control.align))[i] = 0;
	}
	if (sendmsg(fd, &msg, 0) < 0)
		ok(false, "sendmsg: %s", strerror(errno));
}

static void test_round_trip(void)
{
	struct wire_message *m = message_new();
	struct wire_verb verb = { .verb = VERB_STOP, .arg = -7 }, *got;
	struct wire_start start = { .name = "web",
				    .nfds = 2,
				    .roles = { { .role = 1 }, { .role = 2 } } };
	int s[2], fds[2], before;
	char big[WIRE_CONFIG_MAX];

	pair(s);
	memset(big, 'x', sizeof(big));
	ok(wire_recv(s[1], WIRE_DAEMON, m) == -EAGAIN,
	   "nothing there yet: EAGAIN, without blocking");
	ok(wire_send(s[0], WIRE_VERB, 9, &verb, sizeof(verb), NULL, 0, NULL, 0) == 0 &&
		   wire_recv(s[1], WIRE_DAEMON, m) == 1,
	   "a verb arrives");
	got = (struct wire_verb *)m->body;
	ok(m->header.type == WIRE_VERB && m->header.seq == 9 && got->arg == -7 && m->nfds == 0 &&
		   m->extra == 0,
	   "as it was sent");
	before = fd_count();
	fds[0] = fds[1] = 0;
	ok(wire_send(s[0], WIRE_START, 1, &start, sizeof(start), big, sizeof(big), fds, 2) == 0 &&
		   wire_recv(s[1], WIRE_DAEMON, m) == 1,
	   "a start with the largest configuration and two descriptors arrives");
	ok(m->extra == sizeof(big) && m->nfds == 2 && m->body[m->len] == '\0' &&
		   fd_count() == before + 2 && fcntl(m->fds[0], F_GETFD) == FD_CLOEXEC,
	   "whole, with close-on-exec descriptors");
	wire_message_close(m);
	ok(m->nfds == 0 && fd_count() == before, "descriptors that are not taken are closed");
	close(s[0]);
	ok(wire_recv(s[1], WIRE_DAEMON, m) == 0, "the end of the connection");
	ok(wire_send(s[1], WIRE_GREW, 0, NULL, 0, NULL, 0, NULL, 0) == -EPIPE,
	   "sending into a closed one is EPIPE, and no signal");
	close(s[1]);
	free(m);
}

static void test_full(void)
{
	int s[2], rc = 0, n = 0;

	pair(s);
	while (n < 1000000 && (rc = wire_send(s[0], WIRE_GREW, 0, NULL, 0, NULL, 0, NULL, 0)) == 0)
		n++;
	ok(rc == -EAGAIN, "a full queue is EAGAIN, without blocking, after %d messages", n);
	close(s[0]);
	close(s[1]);
}

/* Each is one packet that must be refused, and leave no descriptor behind. */
static void refuses(const char *what, enum wire_side from, const void *data, size_t len, int nfds)
{
	struct wire_message *m = message_new();
	int s[2], before, rc;

	pair(s);
	before = fd_count();
	send_raw(s[0], data, len, nfds);
	rc = wire_recv(s[1], from, m);
	ok((rc == -EPROTO || rc == -EPROTONOSUPPORT) && fd_count() == before,
	   "%s: refused (%d), %d descriptors left", what, rc, fd_count() - before);
	close(s[0]);
	close(s[1]);
	free(m);
}

static void test_malformed(void)
{
	static struct {
		struct wire_header header;
		char body[WIRE_MAX + 4096];
	} packet;
	struct wire_header *h = &packet.header;
	const size_t head = sizeof(*h);

	*h = (struct wire_header){ WIRE_VERSION, WIRE_VERB, 1 };
	refuses("half a header", WIRE_DAEMON, &packet, 4, 0);
	refuses("one byte and a descriptor", WIRE_DAEMON, &packet, 1, 1);
	refuses("a body cut short", WIRE_DAEMON, &packet, head + sizeof(struct wire_verb) - 1, 0);
	refuses("a body too long", WIRE_DAEMON, &packet, head + sizeof(struct wire_verb) + 1, 0);
	refuses("a descriptor too many", WIRE_DAEMON, &packet, head + sizeof(struct wire_verb), 2);
	refuses("the other side's message", WIRE_MONITOR, &packet, head + sizeof(struct wire_verb),
		0);
	h->version = WIRE_VERSION + 1;
	refuses("another version", WIRE_DAEMON, &packet, head + sizeof(struct wire_verb), 0);
	*h = (struct wire_header){ WIRE_VERSION, 0, 1 };
	refuses("type 0", WIRE_DAEMON, &packet, head, 0);
	h->type = WIRE_TYPE_END;
	refuses("the type behind the last", WIRE_DAEMON, &packet, head, 0);
	h->type = 0xffff;
	refuses("the largest type", WIRE_MONITOR, &packet, head, 3);
	h->type = WIRE_START;
	refuses("START without a body", WIRE_DAEMON, &packet, head, 0);
	refuses("START too long", WIRE_DAEMON, &packet,
		head + sizeof(struct wire_start) + WIRE_CONFIG_MAX + 1, 0);
	refuses("START with too many descriptors", WIRE_DAEMON, &packet,
		head + sizeof(struct wire_start), WIRE_FDS_MAX + 1);
	h->type = WIRE_CONFIGURE;
	refuses("CONFIGURE by a monitor", WIRE_MONITOR, &packet,
		head + sizeof(struct wire_configure), 0);
	refuses("CONFIGURE without a body", WIRE_DAEMON, &packet, head + 8, 0);
	refuses("larger than any message", WIRE_DAEMON, &packet, head + WIRE_MAX + 100, 2);
	h->type = WIRE_HELLO;
	refuses("HELLO with three descriptors", WIRE_MONITOR, &packet,
		head + sizeof(struct wire_hello), 3);
	h->type = WIRE_GREW;
	refuses("GREW with a body", WIRE_MONITOR, &packet, head + 1, 0);
	h->type = WIRE_OPEN;
	refuses("what the opener is asked, for a monitor", WIRE_DAEMON, &packet,
		head + sizeof(struct wire_open), 0);
	refuses("OPEN with a path too long", WIRE_ASKER, &packet,
		head + sizeof(struct wire_open) + PATH_MAX + 1, 0);
	h->type = WIRE_CHECK_MAP;
	refuses("CHECK_MAP with too many lines", WIRE_ASKER, &packet,
		head + sizeof(struct wire_check_map) +
			(WIRE_RANGES_MAX + 1) * sizeof(struct id_map_range),
		0);
	h->type = WIRE_OPENED;
	refuses("the opener's answer, from a monitor", WIRE_MONITOR, &packet,
		head + sizeof(struct wire_opened), 1);
	refuses("OPENED with two descriptors", WIRE_OPENER, &packet,
		head + sizeof(struct wire_opened), 2);
	h->type = WIRE_REPLY;
	refuses("a monitor's answer, from the opener", WIRE_OPENER, &packet,
		head + sizeof(struct wire_reply), 0);
}

/* The last word of a monitor that ends while a verb is on its way to it. */
static void test_last_word(void)
{
	struct wire_message *m = message_new();
	struct wire_verb verb = { .verb = VERB_PAUSE };
	struct wire_state state = { .run = RUN_ENDED };
	int s[2];

	pair(s);
	wire_send(s[0], WIRE_VERB, 1, &verb, sizeof(verb), NULL, 0, NULL, 0);
	wire_send(s[1], WIRE_STATE, 0, &state, sizeof(state), NULL, 0, NULL, 0);
	close(s[1]);
	ok(wire_recv(s[0], WIRE_MONITOR, m) == 1 && m->header.type == WIRE_STATE,
	   "what was said before the end arrives, though the other did not listen any more");
	ok(wire_recv(s[0], WIRE_MONITOR, m) == 0, "then comes the end");
	close(s[0]);
	free(m);
}

static void test_endings(void)
{
	static const struct {
		struct ending ending;
		const char *text;
	} endings[] = {
		{ { .kind = ENDING_EXITED, .code = 0 }, "exited 0" },
		{ { .kind = ENDING_EXITED, .code = 255 }, "exited 255" },
		{ { .kind = ENDING_SIGNALED, .code = 9 }, "signaled 9" },
		{ { .kind = ENDING_POWEROFF }, "poweroff" },
		{ { .kind = ENDING_RESET }, "reset" },
		{ { .kind = ENDING_FAILED, .why = "triple fault at 0x10" },
		  "failed: triple fault at 0x10" },
	};
	struct wire_ending wire;
	struct ending back;
	char text[320];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		ending_print(&endings[i].ending, text, sizeof(text));
		ok(!strcmp(text, endings[i].text), "ending: %s", text);
		strncat(text, "\nmore", sizeof(text) - strlen(text) - 1);
		ok(ending_parse(text, &back) == 0 && back.kind == endings[i].ending.kind &&
			   back.code == endings[i].ending.code &&
			   !strcmp(back.why, endings[i].ending.why),
		   "and it is read back: %s", endings[i].text);
		wire_ending_from(&wire, &endings[i].ending);
		wire_ending_to(&wire, &back);
		ok(!memcmp(&back, &endings[i].ending, sizeof(back)), "and crosses the wire");
	}
	ok(ending_parse("", &back) == -EINVAL && ending_parse("running\n", &back) == -EINVAL &&
		   ending_parse("exited", &back) == -EINVAL,
	   "what is no ending is none");
	ok(ending_parse("resetting\n", &back) == -EINVAL &&
		   ending_parse("exited 3x\n", &back) == -EINVAL &&
		   ending_parse("poweroffline\n", &back) == -EINVAL,
	   "nor what only begins like one");
	memset(&wire, 0xff, sizeof(wire));
	memset(wire.why, '\n', sizeof(wire.why));
	wire_ending_to(&wire, &back);
	ok(back.kind == ENDING_FAILED && strlen(back.why) == sizeof(back.why) - 1 &&
		   !strchr(back.why, '\n'),
	   "a hostile one is cut, and one line");
}

int main(void)
{
	test_round_trip();
	test_full();
	test_malformed();
	test_last_word();
	test_endings();
	return tap_done();
}
