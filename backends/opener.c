/* The opener, both its ends: see opener.h. */
#include "backends/opener.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends/spawn.h"
#include "backends/wire.h"

#define OPENERS_LOST 8 /* killed, but not dead yet: what they wait for cannot be interrupted */

struct opener {
	int fd; /* -1: there is none at present */
	pid_t pid;
	pid_t lost[OPENERS_LOST];
	uint32_t seq;
	struct wire_message message;
};

/* ---- the daemon's end ---- */

int opener_new(struct opener **ret, struct err *e)
{
	struct opener *o = calloc(1, sizeof(*o));

	if (!o)
		return err_sys(e, ENOMEM, "opener");
	o->fd = -1;
	*ret = o;
	return 0;
}

static void opener_reap(struct opener *o)
{
	for (int i = 0; i < OPENERS_LOST; i++)
		if (o->lost[i] > 0 && waitpid(o->lost[i], NULL, WNOHANG) != 0)
			o->lost[i] = 0;
}

static pid_t *opener_slot(struct opener *o)
{
	opener_reap(o);
	for (int i = 0; i < OPENERS_LOST; i++)
		if (o->lost[i] == 0)
			return &o->lost[i];
	return NULL;
}

static int opener_spawn(struct opener *o, struct err *e)
{
	char name[] = "machinefs-opener", option[] = "--opener";
	char *argv[] = { name, option, NULL };
	char *env[] = { NULL };
	struct spawn spawn = {
		.exe = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.fd_as = OPENER_FD,
		.cgroup = -1,
	};
	int fds[2], rc;

	if (!opener_slot(o))
		return err_set(e, -ENOSPC,
			       "too many other paths are waited for, which do not answer");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(e, errno, "opener");
	spawn.fd = fds[1];
	rc = spawn_process(&spawn, &o->pid, e);
	close(fds[1]);
	if (rc < 0)
		close(fds[0]);
	else
		o->fd = fds[0];
	return rc;
}

/* Kills it; opener_spawn() has seen that there is a place to keep it until it is dead. */
static void opener_drop(struct opener *o)
{
	pid_t *slot;

	if (o->fd < 0)
		return;
	close(o->fd);
	o->fd = -1;
	kill(o->pid, SIGKILL);
	slot = opener_slot(o);
	if (slot)
		*slot = o->pid;
}

void opener_free(struct opener *o)
{
	if (!o)
		return;
	opener_drop(o);
	opener_reap(o);
	free(o);
}

static int opener_ask(struct opener *o, const struct hostpath *p, struct err *e)
{
	struct wire_open body = {
		.uid = p->uid, .gid = p->gid, .kind = p->kind, .avoid = p->avoid
	};
	int rc;

	snprintf(body.what, sizeof(body.what), "%s", p->what);
	rc = wire_send(o->fd, WIRE_OPEN, ++o->seq, &body, sizeof(body), p->path, strlen(p->path),
		       NULL, 0);
	return rc < 0 ? err_sys(e, -rc, "%s: opener", p->what) : 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the one answer. Returns 1 when it is in o->message, 0 when it is late, or -errno. */
static int opener_wait(struct opener *o)
{
	int64_t end = now_ms() + OPENER_WAIT_MS, left;

	while ((left = end - now_ms()) > 0) {
		struct pollfd p = { .fd = o->fd, .events = POLLIN };
		int rc = poll(&p, 1, (int)left) > 0 ? wire_recv(o->fd, WIRE_OPENER, &o->message)
						    : -EAGAIN;

		if (rc == 1 && o->message.header.seq == o->seq)
			return 1;
		if (rc == 1)
			wire_message_close(&o->message);
		else if (rc != -EAGAIN)
			return rc < 0 ? rc : -EPIPE;
	}
	return 0;
}

static int opener_answer(struct opener *o, int *ret_fd, struct err *e)
{
	struct wire_reply *reply = (struct wire_reply *)o->message.body;

	reply->text[sizeof(reply->text) - 1] = '\0';
	if (reply->code < 0 || o->message.nfds != 1) {
		wire_message_close(&o->message);
		return err_set(e, -err_public(-reply->code), "%s", reply->text);
	}
	*ret_fd = o->message.fds[0];
	return 0;
}

int opener_open(struct opener *o, const struct hostpath *p, int *ret_fd, struct err *e)
{
	int rc;

	if (strlen(p->path) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "%s", p->what);
	/* One that somebody has killed is noticed when it is asked. */
	rc = o->fd < 0 ? -EPIPE : opener_ask(o, p, NULL);
	if (rc < 0) {
		opener_drop(o);
		rc = opener_spawn(o, e);
		if (rc < 0)
			return err_prefix(e, "%s: ", p->what);
		rc = opener_ask(o, p, e);
	}
	if (rc == 0) {
		rc = opener_wait(o);
		if (rc == 1)
			return opener_answer(o, ret_fd, e);
		rc = rc < 0 ? err_set(e, -EIO, "%s: the opener of paths has died", p->what)
			    : err_set(e, -EIO,
				      "%s: %s: something on the way does not answer within %d ms",
				      p->what, p->path, OPENER_WAIT_MS);
	}
	opener_drop(o);
	return rc;
}

/* ---- the process's end ---- */

static void serve(int fd, struct wire_message *m)
{
	struct wire_open *body = (struct wire_open *)m->body;
	struct hostpath p = {
		.path = m->body + sizeof(*body),
		.kind = body->kind ? HOSTPATH_DIRECTORY : HOSTPATH_FILE,
		.what = body->what,
		.uid = body->uid,
		.gid = body->gid,
		.avoid = body->avoid,
	};
	struct wire_reply reply = { 0 };
	struct err e = { 0 };
	int opened = -1;

	body->what[sizeof(body->what) - 1] = '\0';
	reply.code = hostpath_open(&p, &opened, &e);
	if (reply.code < 0)
		snprintf(reply.text, sizeof(reply.text), "%s", e.text);
	wire_send(fd, WIRE_OPENED, m->header.seq, &reply, sizeof(reply), NULL, 0, &opened,
		  reply.code == 0);
	if (opened >= 0)
		close(opened);
}

int opener_main(void)
{
	struct wire_message *m = malloc(sizeof(*m));
	struct pollfd p = { .fd = OPENER_FD, .events = POLLIN };
	int rc = m ? 1 : -ENOMEM;

	/* What the daemon was born with and did not open itself. */
	close_range(OPENER_FD + 1, ~0u, 0);

	while (rc == 1 || rc == -EAGAIN) {
		poll(&p, 1, -1);
		rc = wire_recv(OPENER_FD, WIRE_ASKER, m);
		if (rc == 1)
			serve(OPENER_FD, m);
	}
	free(m);
	return rc;
}
