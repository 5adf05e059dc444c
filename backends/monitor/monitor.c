/* The monitor: see monitor.h. One loop, one machine, one daemon connection at a time. */
#include "backends/monitor/monitor.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/host/envelope.h"
#include "backends/monitor/console.h"
#include "backends/monitor/monitor_filter.h"
#include "backends/monitor/walls.h"
#include "backends/monitor/wire.h"
#include "backends/monitor/wire_exec.h"

/* A monitor without a machine and without a daemon has nothing to live for. */
static const struct timeval first_contact = { .tv_sec = 10 };

struct monitor {
	struct engine_host host; /* first: host_monitor() */
	const struct monitor_hooks *hooks;
	const struct engine *engine;
	void *self; /* the engine's; NULL before start and after the end */
	struct machine_config config;
	bool has_config;
	char name[64];
	char uuid[40];
	struct event *accept_event, *message_event, *ended_event, *timer;
	int listener;
	int daemon;	      /* the connection, or -1 */
	uint32_t connections; /* so many there were */
	int ended_fd;
	int fd[WIRE_ROLE_ENGINE]; /* those of the roles that are the monitor's own */
	struct engine_page *page;
	uint64_t tag; /* the daemon's name for config */
	enum wire_run run;
	struct ending ending; /* written once, by ended(), before ended_once is published */
	atomic_bool ended_once;
	struct monitor_place place;
	struct wire_message *message; /* the one in hand; most of its room is never touched */
};

static struct monitor *host_monitor(struct engine_host *host)
{
	return (struct monitor *)host;
}

/* ---- what the monitor says ---- */

static void monitor_hang_up(struct monitor *m)
{
	if (m->message_event)
		event_free(m->message_event);
	m->message_event = NULL;
	if (m->daemon >= 0)
		close(m->daemon);
	m->daemon = -1;
}

/*
 * A daemon that does not read loses its connection rather than a message: it comes back, and
 * HELLO tells it all. One that has died may have left a START, which is read before the end of
 * the connection is.
 */
static void monitor_say(struct monitor *m, enum wire_type type, uint32_t seq, const void *body,
			size_t len, const int *fds, int nfds)
{
	int rc = m->daemon < 0 ? 0 : wire_send(m->daemon, type, seq, body, len, NULL, 0, fds, nfds);

	if (rc < 0 && rc != -EPIPE)
		monitor_hang_up(m);
}

static struct wire_state monitor_state(struct monitor *m)
{
	struct wire_state s = { .run = m->run };

	if (m->self)
		s.pid = m->engine->pid ? m->engine->pid(m->self) : 0;
	wire_ending_from(&s.ending, &m->ending);
	return s;
}

/* seq: of the verb that it answers, or 0. */
static void monitor_say_state(struct monitor *m, uint32_t seq)
{
	struct wire_state s = monitor_state(m);

	monitor_say(m, WIRE_STATE, seq, &s, sizeof(s), NULL, 0);
}

static void monitor_say_hello(struct monitor *m)
{
	struct wire_hello h = { .state = monitor_state(m) };
	int fds[2], n = 0, layer = m->self && m->engine->layer ? m->engine->layer(m->self) : -1;

	if (m->host.console)
		snprintf(h.tty, sizeof(h.tty), "%s", console_tty(m->host.console));
	h.has_counters = m->fd[WIRE_ROLE_COUNTERS] >= 0;
	h.has_layer = layer >= 0;
	if (h.has_counters)
		fds[n++] = m->fd[WIRE_ROLE_COUNTERS];
	if (h.has_layer)
		fds[n++] = layer;
	h.tag = m->tag;
	if (m->self && m->engine->exec)
		m->engine->exec->list(m->self);
	monitor_say(m, WIRE_HELLO, 0, &h, sizeof(h), fds, n);
}

static void monitor_reply(struct monitor *m, uint32_t seq, int code, const struct err *e)
{
	struct wire_reply r = { .code = code };

	if (code)
		snprintf(r.text, sizeof(r.text), "%s", e->text);
	monitor_say(m, WIRE_REPLY, seq, &r, sizeof(r), NULL, 0);
}

/* ---- sessions ---- */

static void exec_state(struct engine_host *host, const struct exec_state *x)
{
	struct wire_exec_state s = { .id = x->id, .state.run = RUN_ENDED };

	if (x->running)
		s.state = (struct wire_state){ .run = RUN_RUNNING, .pid = x->pid };
	else
		wire_ending_from(&s.state.ending, &x->ending);
	monitor_say(host_monitor(host), WIRE_EXEC_STATE, 0, &s, sizeof(s), NULL, 0);
}

static void exec_grew(struct engine_host *host, uint64_t id, unsigned streams)
{
	struct wire_exec_grew g = { .id = id, .streams = streams };

	monitor_say(host_monitor(host), WIRE_EXEC_GREW, 0, &g, sizeof(g), NULL, 0);
}

/* Who asks, and his number: a daemon that comes meanwhile uses the same numbers. */
static uint64_t exec_token(const struct monitor *m)
{
	return (uint64_t)m->connections << 32 | m->message->header.seq;
}

static void exec_answer(struct engine_host *host, uint64_t token, int code, const struct err *e)
{
	struct monitor *m = host_monitor(host);

	if (token >> 32 == m->connections)
		monitor_reply(m, (uint32_t)token, code, e);
}

static const struct exec_listener exec_listener = { exec_state, exec_grew, exec_answer };

/* Who would act inside, where there is none yet, would act on the host's files. */
static int outside_refuse(struct err *e)
{
	return err_set(e, -EBUSY, "the container has not entered its root yet");
}

/* Frozen it would not come as far as its program. */
static int exec_check(const struct monitor *m, struct err *e)
{
	if (!m->self || !m->engine->exec)
		return err_set(e, -ENXIO, "ctl: this machine has no sessions");
	if (m->run == RUN_OUTSIDE)
		return outside_refuse(e);
	return m->run == RUN_PAUSED ? err_set(e, -EBUSY, "ctl: the container is paused") : 0;
}

static void handle_exec_start(struct monitor *m)
{
	struct err e = { 0 };
	struct exec_spec s;
	int rc = exec_check(m, &e);

	if (rc == 0)
		rc = wire_exec_unpack(m->message, &s, &e);
	if (rc == 0) {
		rc = m->engine->exec->start(m->self, &s, exec_token(m), &e);
		wire_exec_free(&s);
	}
	if (rc < 0)
		monitor_reply(m, m->message->header.seq, rc, &e);
}

static void handle_exec_input(struct monitor *m)
{
	const struct wire_exec_id *w = (const struct wire_exec_id *)m->message->body;
	struct err e = { 0 };
	int rc = m->self && m->engine->exec
			 ? m->engine->exec->input(m->self, w->id, w + 1, m->message->extra,
						  exec_token(m), &e)
			 : err_set(&e, -ENXIO, "stdin: this machine has no sessions");

	if (rc < 0)
		monitor_reply(m, m->message->header.seq, rc, &e);
}

static void handle_exec_signal(struct monitor *m)
{
	const struct wire_exec_signal *w = (const struct wire_exec_signal *)m->message->body;
	struct err e = { 0 };
	int rc;

	if (!m->self || !m->engine->exec)
		rc = err_set(&e, -ENXIO, "ctl: this machine has no sessions");
	else if (w->signo < 1 || w->signo > SIGRTMAX)
		rc = err_set(&e, -EINVAL, "ctl: there is no signal %lld", (long long)w->signo);
	else
		rc = m->engine->exec->signal(m->self, w->id, (int)w->signo, &e);
	monitor_reply(m, m->message->header.seq, rc, &e);
}

/* ---- the machine's end ---- */

/* Any thread, once: only the loop thread acts on it. */
static void monitor_ended(struct engine_host *host, const struct ending *ending)
{
	struct monitor *m = host_monitor(host);
	const uint64_t one = 1;

	if (atomic_exchange(&m->ended_once, true))
		return;
	m->ending = *ending;
	while (write(m->ended_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void monitor_notice(struct engine_host *host, enum engine_notice notice, const char *text)
{
	struct monitor *m = host_monitor(host);
	struct wire_notice n = { .notice = notice };

	strncpy(n.text, text, sizeof(n.text) - 1);
	monitor_say(m, WIRE_NOTICE, 0, &n, sizeof(n), NULL, 0);
	if (notice == NOTICE_PAUSED && m->run == RUN_RUNNING) {
		m->run = RUN_PAUSED;
		monitor_say_state(m, 0);
	}
}

static void on_ended(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	m->engine->free(m->self);
	m->self = NULL;
	ending_record(m->fd[WIRE_ROLE_EXIT], &m->ending);
	m->run = RUN_ENDED;
	monitor_say_state(m, 0);
	event_base_loopbreak(m->host.loop);
}

/* ---- verbs ---- */

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

/* What it is when it is held there, or no more. */
static const enum wire_run hold_runs[HOLD_END] = {
	[HOLD_NONE] = RUN_RUNNING,
	[HOLD_OUTSIDE] = RUN_OUTSIDE,
	[HOLD_INSIDE] = RUN_INSIDE,
};

static int verb_release(struct monitor *m, int64_t hold, struct err *e)
{
	int rc;

	if (hold == HOLD_OUTSIDE || (hold == HOLD_INSIDE && m->run == RUN_INSIDE))
		return err_set(e, -EEXIST, "ctl: prepare: it has come as far already");
	if (hold < 0 || hold >= HOLD_END)
		return err_set(e, -EINVAL, "ctl: prepare: how far?");
	rc = m->engine->release(m->self, (enum engine_hold)hold, e);
	m->run = rc == 0 ? hold_runs[hold] : RUN_STOPPING; // it has ended, if it could not
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

/* ---- start ---- */

static void console_grew(void *arg)
{
	monitor_say(arg, WIRE_GREW, 0, NULL, 0, NULL, 0);
}

static void console_typed(void *arg, const void *data, size_t len)
{
	struct monitor *m = arg;

	if (m->self)
		m->engine->input(m->self, data, len);
}

static const struct console_ops console_ops = { console_grew, console_typed };

static int *monitor_slot(struct monitor *m, unsigned role)
{
	return role < WIRE_ROLE_ENGINE ? &m->fd[role] : &m->host.fd[role - WIRE_ROLE_ENGINE];
}

/* What the engine has not taken. */
static void monitor_close_parts(struct monitor *m)
{
	for (unsigned i = 0; i < m->host.npart_fds; i++)
		if (m->host.part_fds[i].fd >= 0)
			close(m->host.part_fds[i].fd);
	free(m->host.part_fds);
	m->host.part_fds = NULL;
	m->host.npart_fds = 0;
}

/* Where the descriptor of this role belongs; NULL: nowhere, or it is there already. */
static int *monitor_place(struct monitor *m, const struct machine_config *c,
			  const struct wire_fd *w)
{
	struct engine_part_fd *p = &m->host.part_fds[m->host.npart_fds];
	int *slot;

	if (w->role == WIRE_ROLE_PART) {
		if (w->kind >= PART_KINDS || w->index >= c->parts[w->kind].n)
			return NULL;
		*p = (struct engine_part_fd){ -1, (enum part_kind)w->kind, w->which, "" };
		memcpy(p->part, c->parts[w->kind].list[w->index].name, sizeof(p->part));
		m->host.npart_fds++;
		return &p->fd;
	}
	if (w->role >= WIRE_ROLE_PART)
		return NULL;
	slot = monitor_slot(m, w->role);
	return *slot < 0 ? slot : NULL;
}

/* Takes the message's descriptors: what they are for, c says. */
static int monitor_take_fds(struct monitor *m, const struct machine_config *c,
			    const struct wire_fd *roles, uint32_t n, bool parts_only, struct err *e)
{
	if (n != (uint32_t)m->message->nfds)
		return err_set(e, -EINVAL, "start: %d descriptors instead of %u", m->message->nfds,
			       n);
	m->host.part_fds = calloc(n + 1, sizeof(*m->host.part_fds));
	if (!m->host.part_fds)
		return err_sys(e, ENOMEM, "start");
	for (uint32_t i = 0; i < n; i++) {
		bool fits = roles[i].role == WIRE_ROLE_PART || !parts_only;
		int *place = fits ? monitor_place(m, c, &roles[i]) : NULL;

		if (!place)
			return err_set(e, -EINVAL, "start: descriptor %u has no role", i);
		*place = m->message->fds[i];
		m->message->fds[i] = -1;
		if (envelope_open(place, e) < 0)
			return err_prefix(e, "start: ");
	}
	return 0;
}

static int monitor_map_counters(struct monitor *m, struct err *e)
{
	size_t size = sizeof(struct engine_page);
	int fd = m->fd[WIRE_ROLE_COUNTERS], seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* A write behind the end of a file would be the end of the machine. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < (off_t)size)
		return err_set(e, -EINVAL, "start: no counters");
	m->page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->page == MAP_FAILED) {
		m->page = NULL;
		return err_sys(e, errno, "start: counters");
	}
	m->host.counters = m->page->counters;
	m->host.part_stats = m->page->parts;
	return 0;
}

/* A VM is its monitor, so the monitor enters the machine's control group; a container's does not.
 */
static int monitor_join_cgroup(struct monitor *m, struct err *e)
{
	for (int i = 0; i < ENGINE_CGROUP_MAX; i++) {
		int *fd = &m->host.fd[ENGINE_FD_CGROUP + i];

		if (*fd < 0)
			continue;
		if (write(*fd, "0", 1) != 1)
			return err_sys(e, errno, "start: cannot enter the control group");
		/* root opened it: whoever holds it could move any process of the host. */
		close(*fd);
		*fd = -1;
	}
	return 0;
}

/*
 * Behind its walls, and there its owner, without his other groups: whatever they open for him is
 * open already.
 */
static int monitor_become_owner(struct monitor *m, struct err *e)
{
	uid_t uid = m->host.uid;
	gid_t gid = m->host.gid;

	if (geteuid() == 0 && uid == 0) // root may lock memory; without capabilities, by this
		(void)setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	if (!m->place.walled && (walls_limit(e) < 0 || walls_raise(e) < 0))
		return e->code;
	if (geteuid() == 0 && uid != 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	     setresuid(uid, uid, uid) < 0))
		return err_sys(e, errno, "start: cannot become user %u", uid);
	return 0;
}

/* Becomes the owner, with nothing: what the engine needs is open already. */
static int monitor_narrow(struct monitor *m, struct err *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (!m->hooks->own_process)
		return 0;
	prctl(PR_SET_NAME, m->name);
	if (m->engine->keeps_root)
		return 0;
	if (monitor_join_cgroup(m, e) < 0)
		return e->code;
	if (monitor_become_owner(m, e) < 0)
		return e->code;
	if (syscall(SYS_capset, &header, none) < 0)
		return err_sys(e, errno, "start: cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "start: no_new_privs");
	m->host.confined = true;
	if (monitor_filter_report(m->fd[WIRE_ROLE_EXIT], e) < 0)
		return e->code;
	return monitor_filter_install(MONITOR_LOOP, e);
}

static int monitor_open_console(struct monitor *m, struct err *e)
{
	if (m->place.pty.master < 0 && !m->place.walled)
		pty_open(&m->place.pty);
	pty_give(&m->place.pty, m->host.uid);
	return console_new(m->host.loop, m->fd[WIRE_ROLE_LOG], m->fd[WIRE_ROLE_OLD], &m->place.pty,
			   &console_ops, m, &m->host.console, e);
}

static int monitor_start(struct monitor *m, struct err *e)
{
	struct wire_start *w = (struct wire_start *)m->message->body;
	int rc;

	w->name[sizeof(w->name) - 1] = '\0';
	w->uuid[sizeof(w->uuid) - 1] = '\0';
	if (w->kind > KIND_CONTAINER)
		return err_set(e, -EINVAL, "start: kind %u", w->kind);
	memcpy(m->name, w->name, sizeof(m->name));
	memcpy(m->uuid, w->uuid, sizeof(m->uuid));
	m->engine = m->hooks->engine(w->kind);
	m->host.name = m->name;
	m->host.uuid = m->uuid;
	m->host.uid = w->uid;
	m->host.gid = w->gid;
	m->host.own_process = m->hooks->own_process;
	m->host.hold = (enum engine_hold)w->hold;
	if (w->hold >= HOLD_END || (w->hold && !m->engine->release))
		return err_set(e, -EINVAL, "start: hold %u", w->hold);
	rc = m->hooks->config_decode(w->kind, m->message->body + sizeof(*w), m->message->extra,
				     &m->config, e);
	if (rc < 0)
		return rc;
	m->has_config = true;
	m->host.config = &m->config;
	m->tag = w->tag;
	rc = monitor_take_fds(m, &m->config, w->roles, w->nfds, false, e);
	if (rc == 0)
		rc = monitor_map_counters(m, e);
	if (rc == 0)
		rc = monitor_open_console(m, e);
	if (rc < 0)
		return rc;
	m->fd[WIRE_ROLE_LOG] = m->fd[WIRE_ROLE_OLD] = -1;
	rc = monitor_narrow(m, e);
	if (rc == 0)
		rc = m->engine->start(&m->host, &m->self, e);
	monitor_close_parts(m);
	return rc;
}

static void handle_start(struct monitor *m)
{
	struct err e = { 0 };
	int rc;

	if (m->run != RUN_NEW) {
		err_set(&e, -EEXIST, "start: this monitor has a machine");
		monitor_reply(m, m->message->header.seq, -EEXIST, &e);
		return;
	}
	event_del(m->timer);
	rc = monitor_start(m, &e);
	if (rc < 0) {
		monitor_reply(m, m->message->header.seq, rc, &e);
		event_base_loopbreak(m->host.loop);
		return;
	}
	m->run = hold_runs[m->host.hold];
	monitor_say_hello(m); /* again: now there are a tty and counters */
	monitor_reply(m, m->message->header.seq, 0, &e);
}

/* ---- another configuration ---- */

static int monitor_configure(struct monitor *m, struct err *e)
{
	const struct wire_configure *w = (const struct wire_configure *)m->message->body;
	struct machine_config next;
	int rc;

	if (!m->self)
		return err_set(e, -EBUSY, "the machine is not running");
	if (m->run == RUN_OUTSIDE)
		return outside_refuse(e);
	if (!m->engine->configure)
		return err_set(e, -ENXIO, "a %s cannot change in this way while it runs",
			       m->engine->name);
	rc = m->hooks->config_decode(m->config.kind, m->message->body + sizeof(*w),
				     m->message->extra, &next, e);
	if (rc < 0)
		return rc;
	rc = monitor_take_fds(m, &next, w->roles, w->nfds, true, e);
	if (rc == 0)
		rc = m->engine->configure(m->self, &next, e);
	monitor_close_parts(m);
	m->hooks->config_free(rc == 0 ? &m->config : &next);
	if (rc < 0)
		return rc;
	m->config = next;
	m->tag = w->tag;
	return 0;
}

static void handle_configure(struct monitor *m)
{
	struct err e = { 0 };
	int rc = monitor_configure(m, &e);

	monitor_reply(m, m->message->header.seq, rc, &e);
}

static void handle_verb(struct monitor *m)
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

static void handle_input(struct monitor *m)
{
	if (m->self)
		m->engine->input(m->self, m->message->body, m->message->len);
}

/* ---- the connection ---- */

static void on_message(int fd, short what, void *arg)
{
	static void (*const handlers[WIRE_TYPE_END])(struct monitor * m) = {
		[WIRE_START] = handle_start,
		[WIRE_VERB] = handle_verb,
		[WIRE_INPUT] = handle_input,
		[WIRE_CONFIGURE] = handle_configure,
		[WIRE_EXEC_START] = handle_exec_start,
		[WIRE_EXEC_INPUT] = handle_exec_input,
		[WIRE_EXEC_SIGNAL] = handle_exec_signal,
	};
	struct monitor *m = arg;
	int rc = 0;

	while (m->daemon >= 0 && (rc = wire_recv(m->daemon, WIRE_DAEMON, m->message)) == 1) {
		handlers[m->message->header.type](m);
		wire_message_close(m->message);
	}
	if (rc == 0 || (rc < 0 && rc != -EAGAIN))
		monitor_hang_up(m);
	/* The daemon has thought better of it. */
	if (m->daemon < 0 && m->run == RUN_NEW)
		event_base_loopbreak(m->host.loop);
}

/* Only root and this user may command: the socket's place is private, and this is a second lock. */
static bool daemon_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void on_accept(int fd, short what, void *arg)
{
	struct monitor *m = arg;
	int daemon = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (daemon < 0)
		return;
	if (!daemon_trusted(daemon)) {
		close(daemon);
		return;
	}
	monitor_hang_up(m); /* the newest daemon is the daemon */
	m->daemon = daemon;
	m->connections++;
	m->message_event = event_new(m->host.loop, daemon, EV_READ | EV_PERSIST, on_message, m);
	if (!m->message_event || event_add(m->message_event, NULL) < 0) {
		monitor_hang_up(m);
		if (m->run == RUN_NEW) /* nobody would come again */
			event_base_loopbreak(m->host.loop);
		return;
	}
	monitor_say_hello(m);
	if (m->daemon >= 0)
		on_message(m->daemon, EV_READ, m); /* START is most often here already */
}

static void on_lonely(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	event_base_loopbreak(m->host.loop);
}

/* ---- life ---- */

static struct event_base *loop_new(void)
{
	struct event_config *c = event_config_new();
	struct event_base *loop;

	if (!c)
		return NULL;
	/* For each variable it asks who we are, twice. */
	event_config_set_flag(c, EVENT_BASE_FLAG_IGNORE_ENV);
	loop = event_base_new_with_config(c);
	event_config_free(c);
	return loop;
}

/* A copy of another process has no page of its own yet: so what START runs is run for nothing. */
static void rehearse(const struct monitor_hooks *hooks, enum machine_kind kind)
{
	struct machine_config nothing;

	if (hooks->config_decode(kind, "", 0, &nothing, NULL) == 0)
		hooks->config_free(&nothing);
}

int monitor_prepare(const struct monitor_hooks *hooks, enum machine_kind kind,
		    struct monitor_place *place)
{
	int rc = 0;

	*place = (struct monitor_place){ .engine = hooks->engine(kind), .loop = loop_new() };
	pty_open(&place->pty);
	if (place->engine->prepare)
		rc = place->engine->prepare(&place->prepared);
	rehearse(hooks, kind);
	return rc;
}

void monitor_place_free(struct monitor_place *place)
{
	pty_close(&place->pty);
	if (place->prepared)
		place->engine->forget(place->prepared);
	if (place->loop)
		event_base_free(place->loop);
}

static void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	if (m->self)
		m->engine->free(m->self);
	monitor_hang_up(m);
	console_free(m->host.console);
	struct event *events[] = { m->accept_event, m->ended_event, m->timer };
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	monitor_place_free(&m->place);
	for (int i = 0; i < WIRE_ROLE_PART; i++)
		if (*monitor_slot(m, (unsigned)i) >= 0)
			close(*monitor_slot(m, (unsigned)i));
	monitor_close_parts(m);
	if (m->page)
		munmap(m->page, sizeof(*m->page));
	if (m->has_config)
		m->hooks->config_free(&m->config);
	if (m->ended_fd >= 0)
		close(m->ended_fd);
	if (m->listener >= 0)
		close(m->listener);
	free(m->message);
	free(m);
}

static struct monitor *monitor_new(int listener, const struct monitor_hooks *hooks,
				   struct monitor_place *place)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m) {
		close(listener);
		return NULL;
	}
	m->hooks = hooks;
	m->listener = listener;
	m->place = place ? *place : (struct monitor_place){ .pty = PTY_NONE };
	m->host.prepared = m->place.prepared;
	m->daemon = -1;
	for (int i = 0; i < WIRE_ROLE_PART; i++)
		*monitor_slot(m, (unsigned)i) = -1;
	m->host.ended = monitor_ended;
	m->host.notice = monitor_notice;
	m->host.exec = &exec_listener;
	m->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!m->place.loop)
		m->place.loop = loop_new();
	m->host.loop = m->place.loop;
	m->message = malloc(sizeof(*m->message));
	if (m->ended_fd < 0 || !m->host.loop || !m->message)
		goto fail;
	m->accept_event = event_new(m->host.loop, listener, EV_READ | EV_PERSIST, on_accept, m);
	m->ended_event = event_new(m->host.loop, m->ended_fd, EV_READ | EV_PERSIST, on_ended, m);
	m->timer = evtimer_new(m->host.loop, on_lonely, m);
	if (!m->accept_event || !m->ended_event || !m->timer ||
	    event_add(m->accept_event, NULL) < 0 || event_add(m->ended_event, NULL) < 0 ||
	    event_add(m->timer, &first_contact) < 0)
		goto fail;
	return m;
fail:
	monitor_free(m);
	return NULL;
}

int monitor_main(int listener, const struct monitor_hooks *hooks, struct monitor_place *place)
{
	struct monitor *m = monitor_new(listener, hooks, place);
	bool ran;

	if (!m)
		return -ENOMEM;
	event_base_dispatch(m->host.loop);
	ran = m->run != RUN_NEW;
	monitor_free(m);
	return ran ? 0 : -EIO;
}
