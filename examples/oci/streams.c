/*
 * The standard streams of a container: see oci.h. The tree is given paths, so pipes that we were
 * given reach it as FIFOs, between which and ours bytes are carried; a terminal is made here, and
 * its other end sent to who asked for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "examples/oci/oci.h"

static const char *const names[] = { "stdin", "stdout", "stderr" };

/* ---- FIFOs ---- */

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

/* Open for both: so it has a reader before it has a writer, and never hangs up. */
static int open_fifo(struct streams *s, int i, const struct streams_wanted *w, struct err *e)
{
	if (is_null(i)) {
		strcpy(s->path[i], "/dev/null");
		return 0;
	}
	tree_path(s->path[i], w->dir, names[i]);
	if ((unlink(s->path[i]) < 0 && errno != ENOENT) || mkfifo(s->path[i], 0600) < 0)
		return err_sys(e, errno, "%s", s->path[i]);
	s->fifo[i] = open(s->path[i], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	/* He may open /dev/stdout again. */
	if (s->fifo[i] < 0 || fchown(s->fifo[i], w->uid, w->gid) < 0)
		return err_sys(e, errno, "%s", s->path[i]);
	s->pump[i].from = i == 0 ? 0 : s->fifo[i];
	s->pump[i].to = i == 0 ? s->fifo[i] : i;
	return 0;
}

/* ---- a terminal ---- */

static int send_master(const char *path, int master, const char *name, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)name, strlen(name) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd, rc = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, -EINVAL, "--console-socket: %s: too long for a socket", path);
	strcpy(address.sun_path, path);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &master, sizeof(int));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    sendmsg(fd, &msg, 0) < 0)
		rc = err_sys(e, errno, "--console-socket: %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_raw(struct streams *s, struct err *e)
{
	struct termios t;

	if (tcgetattr(0, &t) < 0)
		return 0;
	s->saved = t;
	cfmakeraw(&t);
	if (tcsetattr(0, TCSANOW, &t) < 0)
		return err_sys(e, errno, "the terminal");
	s->raw = true;
	return 0;
}

static int open_terminal(struct streams *s, const struct streams_wanted *w, struct err *e)
{
	struct winsize size = { .ws_row = w->rows, .ws_col = w->columns };
	char name[64];

	if (w->detached && !w->console_socket)
		return err_set(
			e, -EINVAL,
			"process.terminal: it needs --console-socket, for who is to have it");
	s->terminal = true;
	s->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->master < 0 || grantpt(s->master) < 0 || unlockpt(s->master) < 0 ||
	    ptsname_r(s->master, name, sizeof(name)) != 0)
		return err_sys(e, errno, "a terminal");
	s->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0 || fchown(s->slave, w->uid, (gid_t)-1) < 0)
		return err_sys(e, errno, "%s", name);
	if (size.ws_row)
		ioctl(s->slave, TIOCSWINSZ, &size);
	for (int i = 0; i < 3; i++)
		snprintf(s->path[i], sizeof(s->path[i]), "%s", name);
	if (w->console_socket)
		return send_master(w->console_socket, s->master, name, e);
	streams_resize(s);
	if (fcntl(s->master, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, errno, "%s", name);
	s->pump[0].from = 0;
	s->pump[0].to = s->pump[1].from = s->master;
	s->pump[1].to = 1;
	return make_raw(s, e);
}

void streams_resize(const struct streams *s)
{
	struct winsize size;

	if (s->terminal && ioctl(0, TIOCGWINSZ, &size) == 0)
		ioctl(s->master, TIOCSWINSZ, &size);
}

/* ---- both ---- */

int streams_open(struct streams *s, const struct streams_wanted *w, struct err *e)
{
	int rc = 0;

	s->started = s->terminal = s->raw = false;
	s->master = s->slave = -1;
	for (int i = 0; i < 3; i++) {
		s->pump[i].from = s->pump[i].to = s->fifo[i] = -1;
		s->pump[i].at = s->pump[i].len = 0;
		s->path[i][0] = '\0';
	}
	if (w->terminal)
		rc = open_terminal(s, w, e);
	for (int i = 0; rc == 0 && !w->terminal && i < 3; i++)
		rc = open_fifo(s, i, w, e);
	if (rc < 0)
		streams_close(s);
	return rc;
}

/* What is closed at its end is ours: a FIFO. So its other side learns of it. */
static void pump_close(struct streams *s, struct pump *p)
{
	for (int i = 0; i < 3; i++)
		if (s->fifo[i] >= 0 && (p->from == s->fifo[i] || p->to == s->fifo[i])) {
			close(s->fifo[i]);
			s->fifo[i] = -1;
		}
	p->from = p->to = -1;
	p->len = 0;
}

void streams_poll(struct streams *s, struct pollfd *fds)
{
	for (int i = 0; i < STREAMS_POLLS; i++) {
		struct pump *p = &s->pump[i];

		/* Before it is started nobody else has the FIFO open, and what is in it would go.
		 */
		if (p->from < 0 && p->to >= 0 && !p->len && s->started)
			pump_close(s, p);
		fds[i] = (struct pollfd){ .fd = p->len ? p->to : p->from,
					  .events = p->len ? POLLOUT : POLLIN };
	}
}

/* A pipe that is ready takes so much without making us wait. */
static void pump_write(struct streams *s, struct pump *p)
{
	ssize_t n = write(p->to, p->bytes + p->at, p->len < PIPE_BUF ? p->len : PIPE_BUF);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		pump_close(s, p);
	} else if (n > 0) {
		p->at += (size_t)n;
		p->len -= (size_t)n;
	}
}

/* False when there is nothing now. */
static bool pump_read(struct pump *p)
{
	ssize_t n = read(p->from, p->bytes, sizeof(p->bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		p->from = -1;
	p->at = 0;
	p->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

void streams_turn(struct streams *s, const struct pollfd *fds)
{
	for (int i = 0; i < STREAMS_POLLS; i++) {
		struct pump *p = &s->pump[i];

		if (fds[i].fd >= 0 && fds[i].revents) {
			if (p->len)
				pump_write(s, p);
			else
				pump_read(p);
		}
	}
}

void streams_drain(struct streams *s)
{
	for (int i = 1; i < 3; i++) {
		struct pump *p = &s->pump[i];

		while (p->to >= 0 && (p->len || (p->from >= 0 && pump_read(p)))) {
			struct pollfd ready = { .fd = p->to, .events = POLLOUT };

			if (poll(&ready, 1, -1) > 0)
				pump_write(s, p);
		}
	}
}

void streams_close(struct streams *s)
{
	if (s->raw)
		tcsetattr(0, TCSANOW, &s->saved);
	s->raw = false;
	for (int i = 0; i < 3; i++) {
		if (s->fifo[i] >= 0)
			close(s->fifo[i]);
		s->fifo[i] = -1;
		if (!s->terminal && s->path[i][0] && strcmp(s->path[i], "/dev/null"))
			unlink(s->path[i]);
	}
	if (s->master >= 0)
		close(s->master);
	if (s->slave >= 0)
		close(s->slave);
	s->master = s->slave = -1;
}
