/* main(): the order of beginning and end. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/front/fuse.h"
#include "fs/front/fuse_mount.h"
#include "fs/handover/keeper.h"
#include "fs/handover/session.h"
#include "fs/handover/upgrade.h"
#include "fs/log.h"
#include "fs/machine/autostart.h"
#include "fs/notify.h"
#include "fs/options.h"
#include "fs/poker.h"

#define SIGNALS 3

static void on_signal(int signo, short what, void *arg)
{
	log_line(LOG_LEVEL_NOTICE, "signal %d: leaving the machines as they are", signo);
	event_base_loopbreak(arg);
}

static int signals_watch(struct event_base *loop, struct event *ret[SIGNALS])
{
	static const int signals[SIGNALS] = { SIGTERM, SIGINT, SIGHUP };

	for (int i = 0; i < SIGNALS; i++) {
		ret[i] = evsignal_new(loop, signals[i], on_signal, loop);
		if (!ret[i] || evsignal_add(ret[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The mount answers: who waits for it is told, and nobody reads what a daemon prints. */
static void ready(const struct daemon *d, const struct daemon_options *o)
{
	int null;

	log_line(LOG_LEVEL_NOTICE, "serving %s: %zu VMs, %zu containers, %u running", o->mountpoint,
		 d->machines[0]->nchildren, d->machines[1]->nchildren, d->running);
	if (o->kept && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		close(null);
	}
	notify_send("READY=1", NULL, 0);
}

/* What cannot be unpacked is lost to those who had it open; that is no reason not to serve. */
static int resume(struct fuse_front *front, struct session *s, struct err *e)
{
	struct text luggage = TEXT_INIT;
	struct err why = { 0 };
	int rc = 0;

	if (session_luggage(s, &luggage, &why) < 0)
		rc = fuse_front_resume(front, NULL, e);
	else if (fuse_front_resume(front, &luggage, &why) < 0)
		log_line(LOG_LEVEL_ERROR, "upgrade: %s", why.text);
	text_free(&luggage);
	/* Helpers of the daemon before this one are this process's children still. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	return rc;
}

/* Serves the daemon's tree on the session's mount until told to end. */
static int serve(struct daemon *d, struct session *s, const struct daemon_options *o, struct err *e)
{
	struct event *handlers[SIGNALS] = { NULL };
	struct fuse_front *front = NULL;
	struct poker *poker = NULL;
	int rc = signals_watch(d->loop, handlers);

	if (rc < 0)
		err_sys(e, -rc, "signals");
	if (rc == 0)
		rc = fuse_front_new(d, SESSION_FUSE, s->journal, &front, e);
	if (rc == 0)
		rc = poker_new(o->mountpoint, d->loop, &poker, e);
	d->poker = poker;
	if (rc == 0 && !(d->upgrade = upgrade_new(d, front, s, o)))
		rc = err_sys(e, ENOMEM, "upgrade");
	if (rc == 0 && s->inherited)
		rc = resume(front, s, e);
	if (rc == 0) {
		ready(d, o);
		autostart_begin(d->autostart);
		event_base_dispatch(d->loop);
		notify_send("STOPPING=1", NULL, 0);
		daemon_end_threads(d);
	}
	upgrade_free(d->upgrade);
	d->upgrade = NULL;
	daemon_release(d);
	session_end(s, o->mountpoint); /* first: the helper may be inside a request to us */
	fuse_front_free(front);
	session_close(s);
	poker_free(poker);
	d->poker = NULL;
	for (int i = 0; i < SIGNALS; i++)
		if (handlers[i])
			event_free(handlers[i]);
	return rc;
}

static int run(const struct daemon_options *o, struct err *e)
{
	struct daemon *d = NULL;
	struct session session;
	int rc = session_init(&session, e);

	if (rc == 0)
		rc = daemon_new(o, &d, e);
	if (rc == 0)
		rc = session_open(&session, o->mountpoint, o->mount_options, e);
	if (rc == 0) {
		d->own_dev = mount_device(o->mountpoint);
		session_keep(&session);
		rc = serve(d, &session, o, e);
	} else {
		session_close(&session);
	}
	daemon_free(d);
	return rc;
}

/*
 * A monitor's end is part of its machine's, and libc's farewell touches a page in each corner of
 * the program. But a sanitizer looks for leaks in it.
 */
static int leave(int status)
{
	fflush(NULL);
#ifndef __SANITIZE_ADDRESS__
	_exit(status);
#endif
	return status;
}

int main(int argc, char **argv)
{
	struct daemon_options o = {
		.mountpoint = "/run/machines",
		.state_dir = "/var/lib/machinefs",
		.run_dir = "/run/machinefs",
	};
	struct err e = { 0 };
	int rc = options_parse(argc, argv, &o);

	if (rc >= 0) {
		free((char *)o.mount_options);
		return leave(rc);
	}
	signal(SIGPIPE, SIG_IGN);
	log_open(o.foreground);
	umask(022);
	rc = options_resolve(&o, &e);
	if (rc == 0) {
		mkdir(o.mountpoint, 0755); /* if it cannot be, mounting says so */
		rc = !o.foreground && !o.kept ? keeper_start(&o) : run(&o, &e);
	}
	if (e.code)
		fprintf(stderr, "machinefs: %s\n", e.text);
	options_free(&o);
	return rc < 0 ? 1 : rc;
}
