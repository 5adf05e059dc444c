/* What a monitor is asked, and the answers that are awaited: see link_priv.h. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/monitor/wire_exec.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/machine/change.h"
#include "fs/machine/fd_list.h"
#include "fs/machine/link_priv.h"
#include "fs/machine/verb.h"

#define ASKED_MAX 64 /* verbs that a monitor has not answered, their clients gone or not */
#define KILL_S	  10 /* seconds that a monitor has to answer `kill` */

/* ---- answers ---- */

struct asked *asked_find(struct link *l, uint32_t seq)
{
	struct asked *a;

	LIST_FOREACH(a, &l->asked, link)
	if (a->seq == seq)
		return a;
	return NULL;
}

void asked_answer(struct link *l, struct asked *a, int rc, const struct err *e)
{
	struct request *r = a->request;
	link_answered *then = a->then;
	struct config_change *c = a->change;

	struct exec *x = a->exec && l->machine ? exec_find(l->machine, a->exec) : NULL;

	LIST_REMOVE(a, link);
	l->nasked--;
	free(a);
	if (x && rc < 0)
		exec_refused(x);
	if (r) {
		r->parked = NULL;
		r->cancel = NULL;
		then(r, rc, e);
	}
	if (c)
		change_answered(c, rc, e);
}

static void asked_cancel(struct request *r)
{
	((struct asked *)r->parked)->request = NULL;
}

void link_fail_asked(struct link *l, const struct err *e)
{
	struct asked *a;

	while ((a = LIST_FIRST(&l->asked)))
		asked_answer(l, a, e->code, e);
}

/* ---- asking ---- */

int link_refuse_foreign(const struct link *l, struct err *e)
{
	return err_set(e, -ENXIO,
		       "ctl: the monitor is of another version of machinefs (protocol %u, not %u): "
		       "start that version again, or `kill` the machine",
		       l->foreign, WIRE_VERSION);
}

static int link_send(struct link *l, enum wire_type type, uint32_t seq, const void *body,
		     size_t len, const struct text *extra, const int *fds, int nfds, struct err *e)
{
	int rc = wire_send(l->fd, type, seq, body, len, extra ? text_str(extra) : NULL,
			   extra ? extra->len : 0, fds, nfds);

	if (rc < 0)
		err_set(e, rc == -EAGAIN ? -EBUSY : -ENXIO, "ctl: the monitor %s",
			rc == -EAGAIN ? "does not listen" : "is gone");
	return rc < 0 ? e->code : 0;
}

static int link_ask(struct link *l, struct request *r, link_answered *then, enum wire_type type,
		    const void *body, size_t len, const struct text *extra, const int *fds,
		    int nfds, struct err *e)
{
	struct asked *a;

	if (l->foreign)
		return link_refuse_foreign(l, e);
	if (r && l->nasked >= ASKED_MAX)
		return err_set(e, -EBUSY, "ctl: the monitor has not answered %u verbs", l->nasked);
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_sys(e, ENOMEM, "ctl");
	a->seq = type == WIRE_GROUPS ? l->start_seq : ++l->seq;
	if (type == WIRE_START)
		l->start_seq = a->seq;
	a->request = r;
	a->then = then;
	if (type == WIRE_EXEC_START)
		a->exec = ((const struct wire_exec *)body)->id;
	if (link_send(l, type, a->seq, body, len, extra, fds, nfds, e) < 0) {
		free(a);
		return e->code;
	}
	LIST_INSERT_HEAD(&l->asked, a, link);
	l->nasked++;
	if (r) {
		r->parked = a;
		r->brief = true;
		r->cancel = asked_cancel;
	}
	return NODE_PARKED;
}

static void start_name_fds(struct wire_start *start, const struct fd_list *fds)
{
	start->nfds = fds->n;
	memcpy(start->roles, fds->role, sizeof(start->roles));
}

int link_start(struct link *l, struct request *r, struct wire_start *start,
	       const struct text *config, const struct fd_list *fds, struct err *e)
{
	start_name_fds(start, fds);
	return link_ask(l, r, ctl_continue, WIRE_START, start, sizeof(*start), config, fds->fd,
			(int)fds->n, e);
}

int link_announce(struct link *l, struct wire_start *start, const struct text *config,
		  const struct fd_list *fds, struct err *e)
{
	start->groups = 1;
	start_name_fds(start, fds);
	l->start_seq = ++l->seq;
	return link_send(l, WIRE_START, l->start_seq, start, sizeof(*start), config, fds->fd,
			 (int)fds->n, e);
}

int link_start_groups(struct link *l, struct request *r, const struct fd_list *groups,
		      struct err *e)
{
	struct wire_groups w = { .nfds = groups->n };

	if (groups->n > WIRE_GROUPS_MAX)
		return err_set(e, -ENOSPC, "start: more than %d control groups", WIRE_GROUPS_MAX);
	memcpy(w.roles, groups->role, groups->n * sizeof(*w.roles));
	return link_ask(l, r, ctl_continue, WIRE_GROUPS, &w, sizeof(w), NULL, groups->fd,
			(int)groups->n, e);
}

int link_dump(struct link *l, struct request *r, int fd, struct err *e)
{
	struct wire_verb w = { .verb = VERB_DUMP };

	return link_ask(l, r, ctl_continue, WIRE_VERB, &w, sizeof(w), NULL, &fd, 1, e);
}

int link_configure(struct link *l, struct config_change *c, struct wire_configure *w,
		   const struct text *config, const struct fd_list *fds, struct err *e)
{
	int rc;

	w->nfds = fds->n;
	memcpy(w->roles, fds->role, sizeof(w->roles));
	rc = link_ask(l, NULL, NULL, WIRE_CONFIGURE, w, sizeof(*w), config, fds->fd, (int)fds->n,
		      e);
	if (rc == NODE_PARKED)
		LIST_FIRST(&l->asked)->change = c;
	return rc;
}

static void on_patience(int fd, short what, void *arg)
{
	struct link *l = arg;

	syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
}

/* One that does not listen to `kill` any more understands a signal. */
static void link_lose_patience(struct link *l)
{
	const struct timeval soon = { .tv_sec = KILL_S };

	if (l->pidfd < 0 || l->patience)
		return;
	l->patience = evtimer_new(l->machine->object.daemon->loop, on_patience, l);
	if (l->patience)
		evtimer_add(l->patience, &soon);
}

int link_verb(struct link *l, struct request *r, enum wire_verb_code verb, int64_t arg,
	      struct err *e)
{
	struct wire_verb w = { .verb = verb, .flags = WIRE_VERB_ONE, .arg = arg };
	int rc;

	/* What it would be told it does not understand; signals it does. */
	if (l->foreign && verb == VERB_KILL && l->pidfd >= 0 &&
	    syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0) == 0)
		return 0;
	rc = link_ask(l, r, ctl_continue, WIRE_VERB, &w, sizeof(w), NULL, NULL, 0, e);
	/* Also where it does not even take it. */
	if (verb == VERB_KILL && rc != -ENXIO)
		link_lose_patience(l);
	return rc;
}

int link_exec_start(struct link *l, struct request *r, link_answered *then,
		    const struct exec_spec *s, struct err *e)
{
	struct text texts = TEXT_INIT;
	int fds[EXEC_FD_COUNT + 3 + EXEC_GROUPS_MAX], n = EXEC_FD_COUNT;
	struct wire_exec w;
	int rc = wire_exec_pack(s, &w, &texts, e);

	memcpy(fds, s->fd, sizeof(s->fd));
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0)
			fds[n++] = s->stdio[i];
	memcpy(fds + n, s->groups, s->ngroups * sizeof(int));
	if (rc == 0)
		rc = link_ask(l, r, then, WIRE_EXEC_START, &w, sizeof(w), &texts, fds,
			      n + (int)s->ngroups, e);
	text_free(&texts);
	return rc;
}

int link_exec_input(struct link *l, struct request *r, link_answered *then, uint64_t id,
		    const void *data, size_t len, struct err *e)
{
	struct wire_exec_id w = { .id = id };
	const struct text bytes = { .data = (char *)data, .len = len };

	return link_ask(l, r, then, WIRE_EXEC_INPUT, &w, sizeof(w), &bytes, NULL, 0, e);
}

int link_exec_signal(struct link *l, struct request *r, link_answered *then, uint64_t id, int signo,
		     struct err *e)
{
	struct wire_exec_signal w = { .id = id, .signo = signo };

	return link_ask(l, r, then, WIRE_EXEC_SIGNAL, &w, sizeof(w), NULL, NULL, 0, e);
}

int link_input(struct link *l, const void *data, size_t len, struct err *e)
{
	int rc;

	if (l->foreign)
		return link_refuse_foreign(l, e);
	rc = wire_send(l->fd, WIRE_INPUT, 0, data, len, NULL, 0, NULL, 0);
	if (rc < 0)
		return err_set(e, rc == -EAGAIN ? -EBUSY : -ENXIO, "console: the monitor %s",
			       rc == -EAGAIN ? "does not keep up" : "is gone");
	return 0;
}

bool link_busy(const struct link *l)
{
	const struct asked *a;

	LIST_FOREACH(a, &l->asked, link)
	if (a->request || a->change)
		return true;
	return false;
}
