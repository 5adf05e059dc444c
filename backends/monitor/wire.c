/* Messages between daemon and monitor: see wire.h. */
#include "backends/monitor/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct wire_format {
	enum wire_side from;
	size_t body;  /* fixed part, always there */
	size_t extra; /* most free bytes after it */
	int fds;      /* most descriptors */
} formats[WIRE_TYPE_END] = {
	[WIRE_START] = { WIRE_DAEMON, sizeof(struct wire_start), WIRE_CONFIG_MAX, WIRE_FDS_MAX },
	[WIRE_GROUPS] = { WIRE_DAEMON, sizeof(struct wire_groups), 0, WIRE_GROUPS_MAX },
	[WIRE_CONFIGURE] = { WIRE_DAEMON, sizeof(struct wire_configure), WIRE_CONFIG_MAX,
			     WIRE_FDS_MAX },
	[WIRE_VERB] = { WIRE_DAEMON, sizeof(struct wire_verb), 0, 1 },
	[WIRE_INPUT] = { WIRE_DAEMON, 0, WIRE_CONFIG_MAX, 0 },
	[WIRE_HELLO] = { WIRE_MONITOR, sizeof(struct wire_hello), 0, 2 },
	[WIRE_REPLY] = { WIRE_MONITOR, sizeof(struct wire_reply), 0, 0 },
	[WIRE_STATE] = { WIRE_MONITOR, sizeof(struct wire_state), 0, 0 },
	[WIRE_GREW] = { WIRE_MONITOR, 0, 0, 0 },
	[WIRE_NOTICE] = { WIRE_MONITOR, sizeof(struct wire_notice), 0, 0 },
	[WIRE_EXEC_START] = { WIRE_DAEMON, sizeof(struct wire_exec), WIRE_CONFIG_MAX,
			      EXEC_FD_COUNT + 3 + EXEC_GROUPS_MAX },
	[WIRE_EXEC_INPUT] = { WIRE_DAEMON, sizeof(struct wire_exec_id), WIRE_CONFIG_MAX, 0 },
	[WIRE_EXEC_SIGNAL] = { WIRE_DAEMON, sizeof(struct wire_exec_signal), 0, 0 },
	[WIRE_EXEC_STATE] = { WIRE_MONITOR, sizeof(struct wire_exec_state), 0, 0 },
	[WIRE_EXEC_GREW] = { WIRE_MONITOR, sizeof(struct wire_exec_grew), 0, 0 },
	[WIRE_OPEN] = { WIRE_ASKER, sizeof(struct wire_open), PATH_MAX, 0 },
	[WIRE_CHECK_MAP] = { WIRE_ASKER, sizeof(struct wire_check_map),
			     WIRE_RANGES_MAX * sizeof(struct id_map_range), 0 },
	[WIRE_FIND_USER] = { WIRE_ASKER, sizeof(struct wire_find_user), 0, 0 },
	[WIRE_OPENED] = { WIRE_OPENER, sizeof(struct wire_opened), 0, 1 },
	[WIRE_ADOPT] = { WIRE_ASKER, sizeof(struct wire_adopt), 0, 2 },
	[WIRE_COPY] = { WIRE_ASKER, 0, 0, 1 },
	[WIRE_AGAIN] = { WIRE_MONITOR, 0, 0, 0 },
	[WIRE_COPIED] = { WIRE_MONITOR, sizeof(struct wire_copied), 0, 0 },
	[WIRE_IMPORT] = { WIRE_ASKER, sizeof(struct wire_import), 0, 3 },
	[WIRE_IMPORTED] = { WIRE_IMPORTER, sizeof(struct wire_imported), WIRE_CONFIG_MAX, 0 },
};

int wire_send(int fd, enum wire_type type, uint32_t seq, const void *body, size_t len,
	      const void *extra, size_t extra_len, const int *fds, int nfds)
{
	struct wire_header header = { .version = WIRE_VERSION, .type = (uint16_t)type, .seq = seq };
	struct iovec iov[3] = {
		{ &header, sizeof(header) },
		{ (void *)body, len },
		{ (void *)extra, extra_len },
	};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };

	if (nfds < 0 || nfds > WIRE_FDS_MAX)
		return -EINVAL;
	if (nfds > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	for (;;) {
		if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
	}
}

/* The room kept for a sender's credentials holds more descriptors when these do not come. */
static void wire_take_fds(const struct cmsghdr *c, struct wire_message *m)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	memcpy(m->fds + m->nfds, CMSG_DATA(c), n * sizeof(int));
	m->nfds += (int)n;
}

static void wire_take_control(struct msghdr *msg, struct wire_message *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			wire_take_fds(c, m);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			m->pid = cred.pid;
		}
	}
}

static bool wire_message_valid(const struct wire_message *m, enum wire_side from, int flags)
{
	const struct wire_format *f;

	if (flags & (MSG_TRUNC | MSG_CTRUNC))
		return false;
	if (!m->header.type || m->header.type >= WIRE_TYPE_END)
		return false;
	f = &formats[m->header.type];
	return f->from == from && m->len >= f->body && m->len - f->body <= f->extra &&
	       m->nfds <= f->fds;
}

/* The most that any of its messages may bring. */
static int side_fds(enum wire_side from)
{
	int most = 0;

	for (size_t i = 0; i < WIRE_TYPE_END; i++)
		if (formats[i].from == from && formats[i].fds > most)
			most = formats[i].fds;
	return most;
}

_Static_assert(CMSG_SPACE(sizeof(struct ucred)) <= WIRE_FDS_SPARE * sizeof(int), "wire.h");

/* A monitor is asked for its credentials, which come first and take their room. */
static size_t control_room(enum wire_side from, int room)
{
	return (room ? CMSG_LEN(sizeof(int) * (size_t)room) : 0) +
	       (from == WIRE_MONITOR ? CMSG_SPACE(sizeof(struct ucred)) : 0);
}

static int receive(int fd, enum wire_side from, int room, void (*drop)(struct wire_message *m),
		   struct wire_message *m)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov[2] = { { &m->header, sizeof(m->header) }, { m->body, WIRE_MAX } };
	struct msghdr msg;
	ssize_t n;

	m->nfds = 0;
	m->pid = 0;
	/*
	 * ECONNRESET, told once: the peer has closed with something unread. What it said before
	 * that, how the machine ended say, is still to come.
	 */
	do {
		msg = (struct msghdr){ .msg_iov = iov,
				       .msg_iovlen = 2,
				       .msg_control = &control,
				       .msg_controllen = control_room(from, room) };
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return -errno;
	wire_take_control(&msg, m);
	if (n == 0 && m->nfds == 0)
		return 0;
	if (room == 0)
		msg.msg_flags &= ~MSG_CTRUNC;
	m->len = (size_t)n < sizeof(m->header) ? 0 : (size_t)n - sizeof(m->header);
	if ((size_t)n < sizeof(m->header) || m->header.version != WIRE_VERSION ||
	    !wire_message_valid(m, from, msg.msg_flags)) {
		drop(m);
		return (size_t)n < sizeof(m->header) || m->header.version == WIRE_VERSION
			       ? -EPROTO
			       : -EPROTONOSUPPORT;
	}
	m->extra = m->len - formats[m->header.type].body;
	m->body[m->len] = '\0';
	return 1;
}

int wire_recv(int fd, enum wire_side from, struct wire_message *m)
{
	return receive(fd, from, side_fds(from), wire_message_close, m);
}

int wire_recv_few(int fd, enum wire_side from, int room, struct wire_message *m)
{
	return receive(fd, from, room, wire_message_shun, m);
}

void wire_message_close(struct wire_message *m)
{
	for (int i = 0; i < m->nfds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->nfds = 0;
}

void wire_message_shun(struct wire_message *m)
{
	for (int i = 0; i < m->nfds; i++)
		if (m->fds[i] >= 0 && fcntl(m->fds[i], F_GET_SEALS) >= 0)
			close(m->fds[i]);
	m->nfds = 0;
}

void ending_print(const struct ending *ending, char *buf, size_t size)
{
	switch (ending->kind) {
	case ENDING_EXITED:
		snprintf(buf, size, "exited %d", ending->code);
		break;
	case ENDING_SIGNALED:
		snprintf(buf, size, "signaled %d", ending->code);
		break;
	case ENDING_POWEROFF:
		snprintf(buf, size, "poweroff");
		break;
	case ENDING_RESET:
		snprintf(buf, size, "reset");
		break;
	case ENDING_FAILED:
		snprintf(buf, size, "failed: %s", ending->why);
		break;
	}
}

void ending_record(int fd, const struct ending *ending)
{
	char line[320];
	size_t n;

	if (fd < 0)
		return;
	ending_print(ending, line, sizeof(line) - 1);
	n = strlen(line);
	line[n++] = '\n';
	if (pwrite(fd, line, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) < 0)
		return; /* a longer old text behind the newline: the reader stops there */
}

/* Nothing, or a newline and whatever an older, longer text has left behind it. */
static bool line_ends(const char *text)
{
	return *text == '\0' || *text == '\n';
}

int ending_parse(const char *text, struct ending *ret)
{
	struct ending e = { .kind = ENDING_FAILED };
	int used = 0;

	if (sscanf(text, "exited %d%n", &e.code, &used) == 1 && line_ends(text + used))
		e.kind = ENDING_EXITED;
	else if (sscanf(text, "signaled %d%n", &e.code, &used) == 1 && line_ends(text + used))
		e.kind = ENDING_SIGNALED;
	else if (!strncmp(text, "poweroff", 8) && line_ends(text + 8))
		e.kind = ENDING_POWEROFF;
	else if (!strncmp(text, "reset", 5) && line_ends(text + 5))
		e.kind = ENDING_RESET;
	else if (!strncmp(text, "failed: ", 8))
		snprintf(e.why, sizeof(e.why), "%.*s", (int)strcspn(text + 8, "\n"), text + 8);
	else
		return -EINVAL;
	*ret = e;
	return 0;
}

void wire_ending_from(struct wire_ending *w, const struct ending *e)
{
	w->kind = e->kind;
	w->code = e->code;
	memcpy(w->why, e->why, sizeof(w->why));
}

void wire_ending_to(const struct wire_ending *w, struct ending *e)
{
	e->kind = w->kind <= ENDING_FAILED ? (enum ending_kind)w->kind : ENDING_FAILED;
	e->code = w->code;
	memcpy(e->why, w->why, sizeof(e->why));
	e->why[sizeof(e->why) - 1] = '\0';
	for (char *p = e->why; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
}
