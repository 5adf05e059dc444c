/* struct restart: see restart.h. */
#include "fs/machine/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/log.h"
#include "fs/machine/launch.h"
#include "fs/machine/machine.h"
#include "fs/machine/waiter.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

#define SECONDS_MAX 60 /* of waiting, unless restart.delay is more */
#define GOOD_RUN    60 /* seconds of a run after which the count begins anew */

bool restart_wanted(enum restart_policy policy, const struct ending *ending)
{
	switch (policy) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_ON_FAILURE:
		/* A guest that resets itself wants to run on, or has panicked. */
		return ending->kind != ENDING_POWEROFF &&
		       !(ending->kind == ENDING_EXITED && ending->code == 0);
	default:
		return false;
	}
}

unsigned restart_seconds(uint64_t delay, unsigned count)
{
	uint64_t most = delay > SECONDS_MAX ? delay : SECONDS_MAX;

	for (; count > 1 && delay < most; count--)
		delay *= 2;
	return (unsigned)(delay < most ? delay : most);
}

static time_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* ---- what is kept for the next daemon ---- */

static void restart_name(const struct machine *m, char buf[64])
{
	snprintf(buf, 64, "%s.restart", m->identity.uuid);
}

bool restart_waits(const struct machine *m)
{
	return m->restart.timer || m->restart.left;
}

/* Not for the next boot, so it is not synced. If it fails the next daemon knows less. */
static void restart_save(const struct machine *m)
{
	const struct restart *r = &m->restart;
	char name[64], text[64];
	bool waits = restart_waits(m);
	int n = snprintf(text, sizeof(text), "%u %d %d\n", r->count, r->told, waits);
	int fd;

	restart_name(m, name);
	if (!r->count && !r->told && !waits) {
		unlinkat(m->object.daemon->run_fd, name, 0);
		return;
	}
	fd = openat(m->object.daemon->run_fd, name,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) != n)
		log_line(LOG_LEVEL_ERROR, "run directory: cannot keep %s", name);
	close(fd);
}

bool restart_load(struct machine *m)
{
	struct text text = TEXT_INIT;
	unsigned count;
	int told, waits;
	char name[64];
	bool found;

	m->restart.began = now_seconds();
	restart_name(m, name);
	found = m->object.daemon->same_boot &&
		store_read(m->object.daemon->run_fd, name, &text) == 0 &&
		sscanf(text_str(&text), "%u %d %d", &count, &told, &waits) == 3;
	text_free(&text);
	if (!found) {
		restart_save(m); /* what another boot may have left goes */
		return false;
	}
	m->restart.told = told;
	m->restart.count = waits && count ? count - 1 : count;
	return waits;
}

/* ---- its life ---- */

void restart_leave(struct machine *m)
{
	m->restart.left = m->config.restart != RESTART_NEVER && !m->restart.told;
	restart_save(m);
}

/* `ctl` has other verbs while it waits. */
static void restart_disarm(struct machine *m)
{
	if (!m->restart.timer)
		return;
	event_free(m->restart.timer);
	m->restart.timer = NULL;
	object_changed(&m->object, "ctl");
}

void restart_began(struct machine *m, bool asked)
{
	restart_disarm(m);
	if (asked)
		m->restart.count = 0;
	m->restart.own = !asked;
	m->restart.told = false;
	m->restart.began = now_seconds();
	restart_save(m);
}

void restart_told(struct machine *m, bool told)
{
	m->restart.told = told;
	restart_save(m);
}

void restart_call_off(struct machine *m)
{
	if (!m->restart.timer)
		return;
	restart_disarm(m);
	m->restart.count = 0;
	restart_save(m);
	kept_event(&m->object, "restart", "called off");
	machine_over(m);
}

void restart_configured(struct machine *m)
{
	struct restart *r = &m->restart;
	enum restart_policy policy = m->config.restart;
	bool wanted = r->refused ? policy != RESTART_NEVER : restart_wanted(policy, &m->ending);

	if (r->timer && (!wanted || r->count > m->config.restart_max))
		restart_call_off(m);
}

void restart_free(struct machine *m)
{
	if (m->restart.timer)
		event_free(m->restart.timer);
	m->restart.timer = NULL;
}

void restart_forget(struct machine *m)
{
	restart_free(m);
	m->restart = (struct restart){ 0 };
	restart_save(m);
}

/* ---- deciding ---- */

static void on_time(int fd, short what, void *arg)
{
	struct machine *m = arg;

	restart_disarm(m);
	restart_start(m);
}

static void restart_arm(struct machine *m)
{
	struct daemon *d = m->object.daemon;
	struct timeval tv = { .tv_sec =
				      restart_seconds(m->config.restart_delay, m->restart.count) };

	m->restart.timer = evtimer_new(d->loop, on_time, m);
	if (m->restart.timer && evtimer_add(m->restart.timer, &tv) < 0)
		restart_free(m);
	object_changed(&m->object, "ctl");
}

void restart_decide(struct machine *m, const struct ending *ending)
{
	struct restart *r = &m->restart;
	enum restart_policy policy = m->config.restart;
	bool wanted = ending ? restart_wanted(policy, ending) : policy != RESTART_NEVER;

	if (r->left)
		return;
	r->refused = !ending;
	if (ending && now_seconds() - r->began >= GOOD_RUN)
		r->count = 0;
	if (wanted && !r->told && !m->object.daemon->shutting_down) {
		/* One above the limit says, until it is told, that it has been reached. */
		if (r->count++ < m->config.restart_max)
			restart_arm(m);
	} else {
		r->count = 0;
	}
	restart_save(m);
}

void restart_tell(struct machine *m)
{
	struct restart *r = &m->restart;
	char detail[96], max[24] = "max";

	if (!r->count || r->left)
		return;
	if (m->config.restart_max != LIMIT_MAX)
		snprintf(max, sizeof(max), "%llu", (unsigned long long)m->config.restart_max);
	if (r->timer) {
		snprintf(detail, sizeof(detail), "in %u s, %u of %s",
			 restart_seconds(m->config.restart_delay, r->count), r->count, max);
	} else {
		snprintf(detail, sizeof(detail), "given up after %s", max);
		r->count = 0;
		restart_save(m);
	}
	kept_event(&m->object, "restart", detail);
}

/* ---- starting ---- */

void restart_refused(struct machine *m, const struct err *e)
{
	char detail[sizeof(e->text) + 16];
	struct text path = TEXT_INIT;

	snprintf(detail, sizeof(detail), "%s %s", err_name(e->code), e->text);
	object_refuse(&m->object, e);
	kept_event(&m->object, "refused", detail);
	object_path(&m->object, &path);
	log_machine(LOG_LEVEL_ERROR, text_str(&path), m->identity.uuid, "not started: %s", e->text);
	text_free(&path);
}

void restart_start(struct machine *m)
{
	struct err e = { 0 };

	if (launch_machine(m, HOLD_NONE, NULL, &e) == NODE_PARKED)
		return;
	restart_refused(m, &e);
	restart_decide(m, NULL);
	restart_tell(m);
	machine_over(m);
}
