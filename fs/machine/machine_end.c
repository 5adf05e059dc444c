/* The end of a run: its control group, how it ended, and what follows. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/monitor/wire.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/machine/link.h"
#include "fs/machine/machine.h"
#include "fs/machine/verb.h"
#include "fs/machine/waiter.h"
#include "fs/store/store.h"

#define CLEANUP_TRIES 200

void machine_record_ending(struct machine *m)
{
	char text[320] = "";
	int fd = store_open_file(machine_dir(m), "exit", O_WRONLY | O_CREAT | O_TRUNC);
	size_t n;

	if (fd < 0)
		return;
	if (m->has_ending)
		ending_print(&m->ending, text, sizeof(text) - 1);
	n = strlen(text);
	text[n++] = '\n';
	/* If it fails, the next daemon says that the monitor went down: it did. */
	(void)!write(fd, text, m->has_ending ? n : 0);
	close(fd);
}

static void machine_rest_ended(struct machine *m)
{
	char text[320];

	ending_print(&m->ending, text, sizeof(text));
	m->has_ending = true;
	restart_decide(m, &m->ending);
	ephemeral_mark(m);
	/* Until here the next daemon would have done it: it finds a socket without a monitor. */
	link_unlink(m);
	machine_set_state(m, m->ending.kind == ENDING_FAILED ? STATE_FAILED : STATE_STOPPED, text);
	restart_tell(m);
	/* After the waiters, whose refusals are no more than a consequence. */
	if (m->ending.kind == ENDING_FAILED) {
		struct err e = { 0 };

		err_set(&e, -EIO, "%s", m->ending.why);
		object_refuse(&m->object, &e);
	}
	machine_over(m);
}

static void start_answer(struct start_answer *a)
{
	struct request *r = a->request;

	a->request = NULL;
	if (!r)
		return;
	r->parked = NULL;
	r->cancel = NULL;
	ctl_continue(r, a->why.code, &a->why);
}

static void start_cancel(struct request *r)
{
	((struct start_answer *)r->parked)->request = NULL;
}

static void machine_rest_refused(struct machine *m)
{
	m->refused = false;
	if (m->restart.own) {
		restart_decide(m, NULL);
		ephemeral_mark(m);
	}
	machine_set_state(m, m->before_start, "start refused");
	start_answer(&m->refusal);
	if (m->restart.own) {
		restart_tell(m);
		machine_over(m);
	}
}

static void machine_rest(struct machine *m)
{
	cgroup_free(m->cgroup);
	m->cgroup = NULL;
	execs_settle(m, true);
	m->object.daemon->running--;
	if (m->refused)
		machine_rest_refused(m);
	else
		machine_rest_ended(m);
	daemon_machine_ended(m->object.daemon);
}

void machine_over(struct machine *m)
{
	if (machine_active(m) || restart_waits(m))
		return;
	waiters_wake(&m->object);
	ephemeral_over(m);
}

/* Whether the control group is gone, or nothing can be done about it; else it is tried again. */
static bool machine_cgroup_gone(struct machine *m)
{
	struct timeval later = { .tv_usec = 500 << (m->cleanup_tries < 6 ? m->cleanup_tries : 6) };
	struct cgroup *group = m->leftover ? m->leftover : m->cgroup;
	char name[64];

	machine_cgroup_name(m, name);
	if (!group || cgroup_remove(m->object.daemon->cgroups, name, NULL) != -EBUSY ||
	    ++m->cleanup_tries > CLEANUP_TRIES)
		return true;
	/* A monitor that has said its last word is given a moment to leave by itself. */
	if (m->cleanup_tries > 4)
		cgroup_kill(group, NULL);
	evtimer_add(m->cleanup, &later);
	return false;
}

/* `stopped` means that nothing of the machine is left, so it waits for the last process. */
static void on_cleanup(int fd, short what, void *arg)
{
	struct machine *m = arg;

	if (!machine_cgroup_gone(m))
		return;
	if (m->leftover)
		machine_sweep_end(m);
	else
		machine_rest(m);
}

static bool machine_cleanup_new(struct machine *m)
{
	m->cleanup_tries = 0;
	if (!m->cleanup)
		m->cleanup = evtimer_new(m->object.daemon->loop, on_cleanup, m);
	return m->cleanup != NULL;
}

void machine_sweep(struct machine *m)
{
	struct daemon *d = m->object.daemon;
	char name[64];

	if (!d->cgroups)
		return;
	machine_cgroup_name(m, name);
	if (cgroup_open(d->cgroups, name, &m->leftover, NULL) < 0) {
		/* One that was made by half cannot be opened, but be removed. */
		cgroup_remove(d->cgroups, name, NULL);
		return;
	}
	cgroup_kill(m->leftover, NULL);
	if (machine_cleanup_new(m))
		on_cleanup(-1, EV_TIMEOUT, m);
	else
		machine_sweep_end(m);
}

void machine_sweep_end(struct machine *m)
{
	if (!m->leftover)
		return;
	if (m->cleanup)
		evtimer_del(m->cleanup);
	cgroup_free(m->leftover);
	m->leftover = NULL;
}

static void machine_clean(struct machine *m)
{
	if (machine_cleanup_new(m))
		on_cleanup(-1, EV_TIMEOUT, m);
	else
		machine_rest(m);
}

void machine_ended(struct machine *m, const struct ending *ending)
{
	m->ending = *ending;
	machine_clean(m);
}

void machine_refused(struct machine *m, struct request *r, const struct err *why)
{
	if (m->restart.own)
		restart_refused(m, why);
	m->refusal = (struct start_answer){ r, *why };
	if (r) {
		r->parked = &m->refusal;
		r->cancel = start_cancel;
	}
	m->refused = true;
	machine_record_ending(m);
	machine_clean(m);
}
