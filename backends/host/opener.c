/* The opener, both its ends: see opener.h. */
#include "backends/host/opener.h"

#include <errno.h>
#include <fcntl.h>
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

#include "backends/container/usermap.h"
#include "backends/host/cred.h"
#include "backends/host/envelope.h"
#include "backends/host/places.h"
#include "backends/host/spawn.h"
#include "backends/monitor/wire.h"

#define OPENERS_LOST 8 /* killed, but not dead yet: what they wait for cannot be interrupted */

#define LOOK_MS	  50
#define LOOKS_MAX 400
#define SLOW_MAX  16

/* Whose path did not answer; until when, on the monotonic clock, he is to wait himself. */
struct slow {
	uid_t uid;
	int64_t until;
};

/* One that was killed, and for whom it still waits; root where that is nobody's fault. */
struct lost {
	pid_t pid; /* 0: none */
	uid_t uid;
};

struct opener {
	int fd; /* -1: there is none at present */
	pid_t pid;
	struct lost lost[OPENERS_LOST];
	uint32_t seq;
	struct slow slow[SLOW_MAX];
	struct places places;
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
		if (o->lost[i].pid > 0 && waitpid(o->lost[i].pid, NULL, WNOHANG) != 0)
			o->lost[i].pid = 0;
}

static struct lost *opener_slot(struct opener *o)
{
	opener_reap(o);
	for (int i = 0; i < OPENERS_LOST; i++)
		if (o->lost[i].pid == 0)
			return &o->lost[i];
	return NULL;
}

static int opener_spawn(struct opener *o, struct err *e)
{
	char name[] = "machinefs-opener", option[] = "--opener";
	char *argv[] = { name, option, NULL };

	if (!opener_slot(o))
		return err_set(e, -ENOSPC,
			       "too many other paths are waited for, which do not answer");
	return spawn_self(argv, NULL, -1, OPENER_FD, &o->pid, &o->fd, e);
}

/*
 * Kills it, which has something of uid's to wait for; opener_spawn() has seen that there is a place
 * to keep it until it is dead.
 */
static void opener_drop(struct opener *o, uid_t uid)
{
	struct lost *slot;

	if (o->fd < 0)
		return;
	close(o->fd);
	o->fd = -1;
	if (o->pid > 0)
		kill(o->pid, SIGKILL);
	slot = opener_slot(o);
	if (slot)
		*slot = (struct lost){ o->pid, uid };
	o->pid = 0;
}

void opener_free(struct opener *o)
{
	if (!o)
		return;
	opener_rest(o);
	places_free(&o->places);
	free(o);
}

void opener_rest(struct opener *o)
{
	opener_drop(o, 0);
	opener_reap(o);
}

/* What it is asked: a message, and for sentences the setting and its value. */
struct question {
	enum wire_type type;
	const void *body, *extra;
	size_t len, extra_len;
	const char *what, *about;
	uid_t uid; /* for whom */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether it could go on, and only the machine is busy. */
static bool opener_runs(const struct opener *o)
{
	char path[32], stat[128] = "";
	const char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)o->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, stat, sizeof(stat) - 1) < 0)
		stat[0] = '\0';
	close(fd);
	state = strrchr(stat, ')');
	return state && state[1] && state[2] == 'R';
}

/*
 * Waits for the one answer. Returns 1 when it is in o->message, 0 when it is late, or -errno. It
 * counts how often it has looked in vain, not the time: where nobody gets to run, neither do we.
 */
static int opener_wait(struct opener *o)
{
	int idle = 0, looks = 0;

	while (idle < OPENER_WAIT_MS / LOOK_MS && looks < LOOKS_MAX) {
		struct pollfd p = { .fd = o->fd, .events = POLLIN };
		int ready = poll(&p, 1, LOOK_MS), rc;

		looks++;
		if (ready < 0)
			continue;
		rc = ready ? wire_recv(o->fd, WIRE_OPENER, &o->message) : -EAGAIN;
		if (rc == 1 && o->message.header.seq == o->seq)
			return 1;
		if (rc == 1)
			wire_message_close(&o->message);
		else if (rc != -EAGAIN)
			return rc < 0 ? rc : -EPIPE;
		else
			idle += !opener_runs(o);
	}
	return 0;
}

/* Likewise; -errno when it is not there, or dies of it. */
static int opener_ask(struct opener *o, const struct question *q)
{
	int rc = wire_send(o->fd, q->type, ++o->seq, q->body, q->len, q->extra, q->extra_len, NULL,
			   0);

	return rc < 0 ? rc : opener_wait(o);
}

/* ---- who has made it wait ---- */

static int opener_admit(struct opener *o, const struct question *q, struct err *e)
{
	opener_reap(o);
	/* What cannot be killed is one of few places that all users share. */
	for (int i = 0; q->uid && i < OPENERS_LOST; i++)
		if (o->lost[i].pid && o->lost[i].uid == q->uid)
			return err_set(e, -EBUSY,
				       "%s: a path of user %u has not answered yet; no other of "
				       "his is opened until then",
				       q->what, q->uid);
	for (int i = 0; q->uid && i < SLOW_MAX; i++)
		if (o->slow[i].uid == q->uid && o->slow[i].until > now_ms())
			return err_set(e, -EBUSY,
				       "%s: a path of user %u did not answer; no other of his is "
				       "opened for %d s",
				       q->what, q->uid, OPENER_PAUSE_MS / 1000);
	return 0;
}

static void opener_blame(struct opener *o, uid_t uid)
{
	struct slow *oldest = &o->slow[0];

	for (int i = 1; i < SLOW_MAX; i++)
		if (o->slow[i].until < oldest->until)
			oldest = &o->slow[i];
	*oldest = (struct slow){ uid, now_ms() + OPENER_PAUSE_MS };
}

/* Asks, making an opener if need be. Returns 0 when its answer is in o->message. */
static int opener_call(struct opener *o, const struct question *q, struct err *e)
{
	int rc = opener_admit(o, q, e);

	if (rc < 0)
		return rc;
	/* One that somebody has killed is noticed when it is asked, or does not answer. */
	rc = o->fd < 0 ? -EPIPE : opener_ask(o, q);
	if (rc < 0) {
		opener_drop(o, 0);
		rc = opener_spawn(o, e);
		if (rc < 0)
			return err_prefix(e, "%s: ", q->what);
		rc = opener_ask(o, q);
	}
	if (rc == 1)
		return 0;
	opener_drop(o, rc < 0 ? 0 : q->uid);
	if (rc < 0)
		return err_sys(e, -rc, "%s: the opener of paths", q->what);
	opener_blame(o, q->uid);
	return err_set(e, -EIO, "%s: %s: something on the way does not answer within %d ms",
		       q->what, q->about, OPENER_WAIT_MS);
}

/* The refusal in the answer, or 0. */
static int opener_verdict(struct opener *o, struct err *e)
{
	struct wire_reply *reply = &((struct wire_opened *)o->message.body)->reply;

	reply->text[sizeof(reply->text) - 1] = '\0';
	return reply->code ? err_set(e, -err_public(-reply->code), "%s", reply->text) : 0;
}

static int opener_find(struct opener *o, const struct hostpath *p, bool check, struct err *e)
{
	struct wire_open body = {
		.uid = p->uid, .gid = p->gid, .kind = p->kind, .avoid = p->avoid, .check = check
	};
	struct question q = { WIRE_OPEN,       &body,	p->path, sizeof(body),
			      strlen(p->path), p->what, p->path, p->uid };
	int rc;

	if (q.extra_len >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "%s", p->what);
	snprintf(body.what, sizeof(body.what), "%s", p->what);
	rc = opener_call(o, &q, e);
	return rc < 0 ? rc : opener_verdict(o, e);
}

int opener_open(struct opener *o, const struct hostpath *p, int *ret_fd, struct err *e)
{
	int rc;

	*ret_fd = places_find(&o->places, p);
	if (*ret_fd >= 0)
		return 0;
	rc = opener_find(o, p, false, e);
	if (rc == 0 && o->message.nfds != 1)
		rc = err_set(e, -EIO, "%s: the opener of paths sends no descriptor", p->what);
	if (rc < 0) {
		wire_message_close(&o->message);
		return rc;
	}
	*ret_fd = o->message.fds[0];
	o->message.nfds = 0; /* the caller's: what is refused next must not close it */
	places_learn(&o->places, p, *ret_fd);
	return 0;
}

/* A place is handed over, to be known; to close an open file might wait. */
int opener_check(struct opener *o, const struct hostpath *p, struct err *e)
{
	int fd, rc;

	if (hostpath_only(p->kind)) {
		rc = opener_open(o, p, &fd, e);
		if (rc == 0)
			close(fd);
		return rc;
	}
	rc = opener_find(o, p, true, e);
	wire_message_close(&o->message);
	return rc;
}

int opener_check_map(struct opener *o, const struct id_map *map, uid_t uid, gid_t gid,
		     struct err *e)
{
	struct wire_check_map body = { .uid = uid, .gid = gid };
	struct question q = { WIRE_CHECK_MAP,
			      &body,
			      map->ranges,
			      sizeof(body),
			      map->n * sizeof(*map->ranges),
			      "user.map",
			      "the user database",
			      uid };
	int rc;

	if (map->n > WIRE_RANGES_MAX)
		return err_set(e, -EINVAL, "user.map: more than %d lines", WIRE_RANGES_MAX);
	rc = opener_call(o, &q, e);
	if (rc == 0)
		rc = opener_verdict(o, e);
	wire_message_close(&o->message);
	return rc;
}

int opener_find_group(struct opener *o, uid_t uid, gid_t gid, gid_t *ret, struct err *e)
{
	struct wire_find_user body = { .uid = uid, .gid = gid };
	struct question q = { WIRE_FIND_USER,	   &body, NULL, sizeof(body), 0, "start",
			      "the user database", uid };
	int rc = opener_call(o, &q, e);

	if (rc == 0)
		rc = opener_verdict(o, e);
	if (rc == 0)
		*ret = ((struct wire_opened *)o->message.body)->gid;
	wire_message_close(&o->message);
	return rc;
}

/* ---- the process's end ---- */

static int serve_open(struct wire_message *m, int *ret_fd, struct err *e)
{
	struct wire_open *body = (struct wire_open *)m->body;
	struct hostpath p = {
		.path = m->body + sizeof(*body),
		.kind = (enum hostpath_kind)body->kind,
		.what = body->what,
		.uid = body->uid,
		.gid = body->gid,
		.avoid = body->avoid,
	};

	int rc;

	body->what[sizeof(body->what) - 1] = '\0';
	rc = hostpath_open(&p, ret_fd, e);
	if (rc == 0 && !hostpath_only(p.kind))
		rc = envelope_seal(*ret_fd, ret_fd, e);
	if (rc == 0 && body->check) {
		close(*ret_fd);
		*ret_fd = -1;
	}
	if (rc < 0)
		*ret_fd = -1;
	return rc;
}

static int serve_check_map(const struct wire_message *m, struct err *e)
{
	const struct wire_check_map *body = (const struct wire_check_map *)m->body;
	struct id_map map = { .n = m->extra / sizeof(*map.ranges),
			      .ranges = (struct id_map_range *)(body + 1) };
	struct cred owner;
	int rc = cred_find(body->uid, body->gid, &owner, e);

	return rc < 0 ? err_prefix(e, "user.map: ") : usermap_check(&map, &owner, e);
}

static int serve_find_user(const struct wire_message *m, uint32_t *ret_gid, struct err *e)
{
	const struct wire_find_user *body = (const struct wire_find_user *)m->body;
	struct cred who;
	int rc = cred_find(body->uid, body->gid, &who, e);

	if (rc < 0)
		return err_prefix(e, "start: ");
	*ret_gid = who.gid;
	return 0;
}

static void serve(struct wire_message *m)
{
	struct wire_opened answer = { .gid = 0 };
	struct err e = { 0 };
	int opened = -1, rc;

	if (m->header.type == WIRE_OPEN)
		rc = serve_open(m, &opened, &e);
	else if (m->header.type == WIRE_CHECK_MAP)
		rc = serve_check_map(m, &e);
	else
		rc = serve_find_user(m, &answer.gid, &e);
	answer.reply.code = rc;
	if (rc < 0)
		snprintf(answer.reply.text, sizeof(answer.reply.text), "%s", e.text);
	wire_send(OPENER_FD, WIRE_OPENED, m->header.seq, &answer, sizeof(answer), NULL, 0, &opened,
		  opened >= 0);
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
			serve(m);
	}
	free(m);
	return rc;
}
