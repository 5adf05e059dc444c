/* What is done to a machine while it runs: see monitor_priv.h. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>

#include "backends/host/envelope.h"
#include "backends/monitor/monitor_priv.h"

static void on_stop_timeout(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	if (m->self)
		m->engine->kill(m->self, NULL);
}

static int verb_kill(struct monitor *m, int64_t arg, struct err *e)
{
	int rc = m->engine->kill(m->self, e);

	if (rc == 0)
		m->run = RUN_STOPPING;
	return rc;
}

static int verb_stop(struct monitor *m, int64_t seconds, struct err *e)
{
	struct timeval tv = { .tv_sec = seconds < 0 ? 0 : seconds > 86400 ? 86400 : seconds };
	int rc = 0;

	/* What is held has nothing to bring to an end. */
	if (m->run == RUN_OUTSIDE || m->run == RUN_INSIDE)
		return verb_kill(m, 0, e);
	/* A paused machine could not hear the request. */
	if (m->run == RUN_PAUSED)
		rc = m->engine->resume(m->self, e);
	if (rc == 0)
		rc = m->engine->stop(m->self, e);
	if (rc < 0)
		return rc;
	event_free(m->timer);
	m->timer = evtimer_new(m->host.loop, on_stop_timeout, m);
	if (!m->timer || evtimer_add(m->timer, &tv) < 0)
		return err_sys(e, ENOMEM, "stop");
	m->run = RUN_STOPPING;
	return 0;
}

static int verb_pause(struct monitor *m, int64_t arg, struct err *e)
{
	int rc = m->engine->pause(m->self, e);

	if (rc == 0)
		m->run = RUN_PAUSED;
	return rc;
}

static int verb_resume(struct monitor *m, int64_t arg, struct err *e)
{
	int rc = m->engine->resume(m->self, e);

	if (rc == 0)
		m->run = RUN_RUNNING;
	return rc;
}

static int verb_reset(struct monitor *m, int64_t arg, struct err *e)
{
	int rc;

	if (!m->engine->reset)
		return err_set(e, -ENXIO, "ctl: a %s cannot be reset", m->engine->name);
	rc = m->engine->reset(m->self, e);
	if (rc == 0 && m->run != RUN_PAUSED)
		m->run = RUN_RUNNING;
	return rc;
}

static int verb_signal(struct monitor *m, int64_t signo, struct err *e)
{
	if (!m->engine->signal)
		return err_set(e, -ENXIO, "ctl: a %s takes no signals", m->engine->name);
	if (signo < 1 || signo > SIGRTMAX)
		return err_set(e, -EINVAL, "ctl: there is no signal %lld", (long long)signo);
	return m->engine->signal(m->self, (int)signo, e);
}

static int verb_dump(struct monitor *m, int64_t arg, struct err *e)
{
	if (!m->engine->dump)
		return err_set(e, -ENXIO, "ctl: a %s has no core file", m->engine->name);
	if (m->message->nfds != 1)
		return err_set(e, -EINVAL, "ctl: dump: no file");
	if (envelope_open(&m->message->fds[0], e) < 0)
		return err_prefix(e, "ctl: dump: ");
	return m->engine->dump(m->self, m->message->fds[0], e);
}

static int verb_release(struct monitor *m, int64_t hold, struct err *e)
{
	int rc;

	if (hold == HOLD_OUTSIDE || (hold == HOLD_INSIDE && m->run == RUN_INSIDE))
		return err_set(e, -EEXIST, "ctl: prepare: it has come as far already");
	if (hold < 0 || hold >= HOLD_END)
		return err_set(e, -EINVAL, "ctl: prepare: how far?");
	rc = m->engine->release(m->self, (enum engine_hold)hold, e);
	m->run = rc == 0 ? monitor_held((enum engine_hold)hold)
			 : RUN_STOPPING; // it has ended, if it could not
	return rc;
}

#define RUNS_HELD (1 << RUN_OUTSIDE | 1 << RUN_INSIDE)
#define RUNS_ON	  (1 << RUN_RUNNING | 1 << RUN_PAUSED | 1 << RUN_STOPPING)

static const struct verb {
	int (*run)(struct monitor *m, int64_t arg, struct err *e);
	unsigned runs; /* in which of enum wire_run, as bits */
} verbs[VERB_END] = {
	[VERB_STOP] = { verb_stop, RUNS_ON | RUNS_HELD },
	[VERB_KILL] = { verb_kill, RUNS_ON | RUNS_HELD },
	[VERB_PAUSE] = { verb_pause, 1 << RUN_RUNNING },
	[VERB_RESUME] = { verb_resume, 1 << RUN_PAUSED },
	[VERB_RESET] = { verb_reset, RUNS_ON },
	[VERB_DUMP] = { verb_dump, RUNS_ON },
	[VERB_SIGNAL] = { verb_signal, RUNS_ON },
	[VERB_RELEASE] = { verb_release, RUNS_HELD },
};

static int monitor_verb(struct monitor *m, const struct wire_verb *w, struct err *e)
{
	if (w->verb == 0 || w->verb >= VERB_END)
		return err_set(e, -EINVAL, "ctl: the monitor does not know verb %u", w->verb);
	if (!m->self || !(verbs[w->verb].runs & 1u << m->run))
		return err_set(e, -EBUSY, "ctl: not in this state");
	return verbs[w->verb].run(m, w->arg, e);
}

void monitor_handle_verb(struct monitor *m)
{
	struct wire_verb *w = (struct wire_verb *)m->message->body;
	struct err e = { 0 };
	enum wire_run before = m->run;
	uint32_t seq = m->message->header.seq;
	int rc = monitor_verb(m, w, &e);
	bool one = rc == 0 && m->run != before && w->flags & WIRE_VERB_ONE;

	if (m->run != before)
		monitor_say_state(m, one ? seq : 0);
	if (!one)
		monitor_reply(m, seq, rc, &e);
}

void monitor_handle_input(struct monitor *m)
{
	if (m->self)
		m->engine->input(m->self, m->message->body, m->message->len);
}
