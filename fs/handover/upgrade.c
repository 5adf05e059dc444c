/* struct upgrade: see upgrade.h. */
#include "fs/handover/upgrade.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/host/opener.h"
#include "backends/host/spawn.h"
#include "fs/front/fuse.h"
#include "fs/handover/journal.h"
#include "fs/handover/luggage.h"
#include "fs/handover/session.h"
#include "fs/log.h"
#include "fs/machine/link.h"
#include "fs/machine/machine.h"

#define ANSWER_FD      3
#define ANSWER_SECONDS 5
#define QUIET_TRIES    400 /* of QUIET_USEC: two seconds */
#define QUIET_USEC     5000

struct upgrade {
	struct daemon *daemon;
	struct fuse_front *front;
	struct session *session;
	const struct daemon_options *options;
	struct request *request; /* NULL: nobody has asked */
	pid_t candidate;	 /* the program's file, being asked; 0: not */
	int answer;		 /* a pipe from it, or -1 */
	struct event *answered, *quiet;
	unsigned tries;
};

/* What both sides must have in common, as text. */
static void upgrade_terms(char buf[64])
{
	snprintf(buf, 64, "journal %d luggage %d\n", JOURNAL_LAYOUT, LUGGAGE_FORMAT);
}

int upgrade_answer(void)
{
	char text[64];

	upgrade_terms(text);
	return write(ANSWER_FD, text, strlen(text)) < 0;
}

/* ---- the end of an attempt ---- */

/* It has said what it had to say, or will not. */
static void candidate_end(struct upgrade *u)
{
	if (u->candidate <= 0)
		return;
	kill(u->candidate, SIGKILL);
	waitpid(u->candidate, NULL, 0);
	u->candidate = 0;
}

static void upgrade_reset(struct upgrade *u)
{
	candidate_end(u);
	if (u->answered)
		event_free(u->answered);
	if (u->answer >= 0)
		close(u->answer);
	evtimer_del(u->quiet);
	u->answered = NULL;
	u->answer = -1;
	u->request = NULL;
	fuse_front_pause(u->front, false);
}

static void upgrade_refuse(struct upgrade *u, const struct err *e)
{
	struct request *r = u->request;

	log_line(LOG_LEVEL_ERROR, "no upgrade: %s", e->text);
	upgrade_reset(u);
	request_finish(r, e->code, e);
}

static void upgrade_cancel(struct request *r)
{
	upgrade_reset(r->parked);
}

/* ---- the last step ---- */

static int luggage_pack(struct upgrade *u, struct err *e)
{
	struct text text = TEXT_INIT;
	int fd = -1;

	luggage_begin(&text);
	luggage_add_object(&text, u->daemon->root);
	fuse_front_pack(u->front, &text);
	luggage_end(&text);
	if (text_failed(&text)) {
		err_sys(e, ENOMEM, "luggage");
		goto fail;
	}
	fd = memfd_create("luggage", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len) {
		err_sys(e, errno, "luggage");
		goto fail;
	}
	text_free(&text);
	return session_put(u->session, SESSION_LUGGAGE, fd, e);
fail:
	if (fd >= 0)
		close(fd);
	text_free(&text);
	return e->code;
}

/* Returns only on failure. */
static void upgrade_go(struct upgrade *u)
{
	char *argv[OPTIONS_ARGV_MAX];
	struct err e = { 0 };

	options_argv(u->options, argv);
	opener_rest(u->daemon->opener);
	if (fuse_front_promise(u->request, &e) == 0 && luggage_pack(u, &e) == 0) {
		log_line(LOG_LEVEL_NOTICE, "upgrade: %s takes over", u->options->exe);
		session_leave(u->session, u->options->exe, argv, &e);
	}
	err_prefix(&e, "ctl: upgrade: ");
	upgrade_refuse(u, &e);
}

/* A monitor's answer goes to the daemon that asked. */
static const struct machine *upgrade_waits_for(const struct upgrade *u)
{
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < u->daemon->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(u->daemon->machines[kind]->children[i]);

			if (m->refused || (m->link && link_busy(m->link)))
				return m;
		}
	return NULL;
}

static void on_quiet(int fd, short what, void *arg)
{
	const struct timeval later = { .tv_usec = QUIET_USEC };
	struct upgrade *u = arg;
	const struct machine *m = upgrade_waits_for(u);
	struct err e = { 0 };

	if (!m) {
		upgrade_go(u);
	} else if (++u->tries < QUIET_TRIES) {
		evtimer_add(u->quiet, &later);
	} else {
		err_set(&e, -EBUSY, "ctl: upgrade: the monitor of %s does not answer",
			m->object.name);
		upgrade_refuse(u, &e);
	}
}

/* ---- asking the successor ---- */

static void on_answered(int fd, short what, void *arg)
{
	struct upgrade *u = arg;
	char wanted[64], got[64] = "";
	struct err e = { 0 };
	ssize_t n = what & EV_READ ? read(fd, got, sizeof(got) - 1) : -1;

	candidate_end(u);
	upgrade_terms(wanted);
	if (n > 0 && !strcmp(got, wanted)) {
		fuse_front_pause(u->front, true);
		u->tries = 0;
		on_quiet(-1, EV_TIMEOUT, u);
		return;
	}
	got[strcspn(got, "\n")] = '\0';
	wanted[strcspn(wanted, "\n")] = '\0';
	err_set(&e, -ENXIO, "ctl: upgrade: %s cannot take over: it says \"%s\", not \"%s\"",
		u->options->exe, got, wanted);
	upgrade_refuse(u, &e);
}

static int upgrade_ask(struct upgrade *u, struct err *e)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	char name[] = "machinefs", option[] = "--successor";
	char *argv[] = { name, option, NULL }, *env[] = { NULL };
	struct spawn spawn = {
		.exe = u->options->exe, .argv = argv, .env = env, .fd_as = ANSWER_FD, .cgroup = -1
	};
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "ctl: upgrade");
	spawn.fd = fds[1];
	rc = spawn_process(&spawn, &u->candidate, e);
	close(fds[1]);
	u->answer = fds[0];
	if (rc < 0)
		return rc;
	u->answered = event_new(u->daemon->loop, u->answer, EV_READ | EV_TIMEOUT, on_answered, u);
	if (!u->answered || event_add(u->answered, &limit) < 0)
		return err_sys(e, ENOMEM, "ctl: upgrade");
	return 0;
}

/* A monitor on a thread of this process would not survive. */
static int upgrade_check(const struct upgrade *u, struct err *e)
{
	if (u->daemon->shutting_down)
		return err_set(e, -EBUSY, "ctl: upgrade: the daemon is shutting down");
	if (u->request)
		return err_set(e, -EEXIST, "ctl: upgrade: one is under way");
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < u->daemon->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(u->daemon->machines[kind]->children[i]);

			if (m->link && m->config.isolation == ISOLATION_THREAD)
				return err_set(e, -EBUSY,
					       "ctl: upgrade: %s runs on a thread of this daemon "
					       "and would end; stop it first",
					       m->object.name);
		}
	return 0;
}

int upgrade_start(struct upgrade *u, struct request *r, struct err *e)
{
	int rc = upgrade_check(u, e);

	if (rc < 0)
		return rc;
	u->request = r;
	rc = upgrade_ask(u, e);
	if (rc < 0) {
		upgrade_reset(u);
		return rc;
	}
	r->parked = u;
	r->cancel = upgrade_cancel;
	return NODE_PARKED;
}

/* ---- life ---- */

struct upgrade *upgrade_new(struct daemon *d, struct fuse_front *f, struct session *s,
			    const struct daemon_options *o)
{
	struct upgrade *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct upgrade){ .daemon = d, .front = f, .session = s, .options = o, .answer = -1 };
	u->quiet = evtimer_new(d->loop, on_quiet, u);
	if (u->quiet)
		return u;
	free(u);
	return NULL;
}

void upgrade_free(struct upgrade *u)
{
	if (!u)
		return;
	if (u->request) {
		struct err e = { 0 };

		err_set(&e, -EIO, "ctl: upgrade: the daemon ends");
		upgrade_refuse(u, &e);
	}
	event_free(u->quiet);
	free(u);
}
