/* The monitor: see monitor.h. One loop, one machine, one daemon connection at a time. */
#include "backends/monitor.h"

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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/console.h"
#include "backends/cred.h"
#include "backends/wire.h"

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
	struct event *accept_event, *message_event, *ended_event, *timer;
	int listener;
	int daemon; /* the connection, or -1 */
	int ended_fd;
	int fd[WIRE_ROLE_ENGINE]; /* those of the roles that are the monitor's own */
	uint64_t *counters;
	enum wire_run run;
	struct ending ending; /* written once, by ended(), before ended_once is published */
	atomic_bool ended_once;
	struct wire_message message;
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

static void monitor_say_state(struct monitor *m)
{
	struct wire_state s = monitor_state(m);

	monitor_say(m, WIRE_STATE, 0, &s, sizeof(s), NULL, 0);
}

static void monitor_say_hello(struct monitor *m)
{
	struct wire_hello h = { .state = monitor_state(m) };
	int counters = m->fd[WIRE_ROLE_COUNTERS];

	if (m->host.console)
		snprintf(h.tty, sizeof(h.tty), "%s", console_tty(m->host.console));
	h.has_counters = counters >= 0;
	monitor_say(m, WIRE_HELLO, 0, &h, sizeof(h), &counters, counters >= 0);
}

static void monitor_reply(struct monitor *m, uint32_t seq, int code, const struct err *e)
{
	struct wire_reply r = { .code = code };

	if (code)
		snprintf(r.text, sizeof(r.text), "%s", e->text);
	monitor_say(m, WIRE_REPLY, seq, &r, sizeof(r), NULL, 0);
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

/* The record is for the daemon that was not there to hear it. */
static void monitor_record_ending(struct monitor *m)
{
	char line[320];
	int fd = m->fd[WIRE_ROLE_EXIT];
	size_t n;

	if (fd < 0)
		return;
	ending_print(&m->ending, line, sizeof(line) - 1);
	n = strlen(line);
	line[n++] = '\n';
	if (pwrite(fd, line, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) < 0)
		return; /* a longer old text behind the newline: the reader stops there */
}

static void on_ended(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	m->engine->free(m->self);
	m->self = NULL;
	monitor_record_ending(m);
	m->run = RUN_ENDED;
	monitor_say_state(m);
	event_base_loopbreak(m->host.loop);
}

/* ---- verbs ---- */

static void on_stop_timeout(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	if (m->self)
		m->engine->kill(m->self, NULL);
}

static int verb_stop(struct monitor *m, int64_t seconds, struct err *e)
{
	struct timeval tv = { .tv_sec = seconds < 0 ? 0 : seconds > 86400 ? 86400 : seconds };
	int rc = 0;

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

static int verb_kill(struct monitor *m, int64_t arg, struct err *e)
{
	int rc = m->engine->kill(m->self, e);

	if (rc == 0)
		m->run = RUN_STOPPING;
	return rc;
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
	if (rc == 0)
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

static const struct verb {
	int (*run)(struct monitor *m, int64_t arg, struct err *e);
	unsigned runs; /* in which of enum wire_run, as bits */
} verbs[VERB_END] = {
	[VERB_STOP] = { verb_stop, 1 << RUN_RUNNING | 1 << RUN_PAUSED | 1 << RUN_STOPPING },
	[VERB_KILL] = { verb_kill, 1 << RUN_RUNNING | 1 << RUN_PAUSED | 1 << RUN_STOPPING },
	[VERB_PAUSE] = { verb_pause, 1 << RUN_RUNNING },
	[VERB_RESUME] = { verb_resume, 1 << RUN_PAUSED },
	[VERB_RESET] = { verb_reset, 1 << RUN_RUNNING | 1 << RUN_PAUSED | 1 << RUN_STOPPING },
	[VERB_SIGNAL] = { verb_signal, 1 << RUN_RUNNING | 1 << RUN_PAUSED | 1 << RUN_STOPPING },
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

static int monitor_take_fds(struct monitor *m, const struct wire_start *w, struct err *e)
{
	if (w->nfds != (uint32_t)m->message.nfds)
		return err_set(e, -EINVAL, "start: %d descriptors instead of %u", m->message.nfds,
			       w->nfds);
	for (uint32_t i = 0; i < w->nfds; i++) {
		if (w->roles[i] >= WIRE_ROLE_END || *monitor_slot(m, w->roles[i]) >= 0)
			return err_set(e, -EINVAL, "start: descriptor %u has no role", i);
		*monitor_slot(m, w->roles[i]) = m->message.fds[i];
		m->message.fds[i] = -1;
	}
	return 0;
}

static int monitor_map_counters(struct monitor *m, struct err *e)
{
	size_t size = COUNTER_MAX * sizeof(uint64_t);
	int fd = m->fd[WIRE_ROLE_COUNTERS], seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* A write behind the end of a file would be the end of the machine. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < (off_t)size)
		return err_set(e, -EINVAL, "start: no counters");
	m->counters = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->counters == MAP_FAILED) {
		m->counters = NULL;
		return err_sys(e, errno, "start: counters");
	}
	m->host.counters = (_Atomic uint64_t *)m->counters;
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

/* Without his other groups: whatever they open for him is open already. */
static int monitor_become_owner(struct monitor *m, struct err *e)
{
	struct cred who;

	if (geteuid() != 0 || m->host.uid == 0)
		return 0;
	if (cred_find(m->host.uid, m->host.gid, &who, e) < 0)
		return err_prefix(e, "start: ");
	if (setgroups(0, NULL) < 0 || setresgid(who.gid, who.gid, who.gid) < 0 ||
	    setresuid(who.uid, who.uid, who.uid) < 0)
		return err_sys(e, errno, "start: cannot become user %u", who.uid);
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
	return 0;
}

static int monitor_start(struct monitor *m, struct err *e)
{
	struct wire_start *w = (struct wire_start *)m->message.body;
	int rc;

	w->name[sizeof(w->name) - 1] = '\0';
	if (w->kind > KIND_CONTAINER)
		return err_set(e, -EINVAL, "start: kind %u", w->kind);
	rc = monitor_take_fds(m, w, e);
	if (rc < 0)
		return rc;
	memcpy(m->name, w->name, sizeof(m->name));
	m->engine = m->hooks->engine(w->kind);
	m->host.name = m->name;
	m->host.uid = w->uid;
	m->host.gid = w->gid;
	rc = m->hooks->config_decode(w->kind, m->message.body + sizeof(*w), m->message.extra,
				     &m->config, e);
	if (rc < 0)
		return rc;
	m->has_config = true;
	m->host.config = &m->config;
	rc = monitor_map_counters(m, e);
	if (rc == 0)
		rc = console_new(m->host.loop, m->fd[WIRE_ROLE_LOG], m->fd[WIRE_ROLE_OLD],
				 m->host.uid, &console_ops, m, &m->host.console, e);
	if (rc < 0)
		return rc;
	m->fd[WIRE_ROLE_LOG] = m->fd[WIRE_ROLE_OLD] = -1;
	rc = monitor_narrow(m, e);
	if (rc == 0)
		rc = m->engine->start(&m->host, &m->self, e);
	return rc;
}

static void handle_start(struct monitor *m)
{
	struct err e = { 0 };
	int rc;

	if (m->run != RUN_NEW) {
		err_set(&e, -EEXIST, "start: this monitor has a machine");
		monitor_reply(m, m->message.header.seq, -EEXIST, &e);
		return;
	}
	event_del(m->timer);
	rc = monitor_start(m, &e);
	if (rc < 0) {
		monitor_reply(m, m->message.header.seq, rc, &e);
		event_base_loopbreak(m->host.loop);
		return;
	}
	m->run = RUN_RUNNING;
	monitor_say_hello(m); /* again: now there are a tty and counters */
	monitor_reply(m, m->message.header.seq, 0, &e);
}

static void handle_verb(struct monitor *m)
{
	struct err e = { 0 };
	enum wire_run before = m->run;
	int rc = monitor_verb(m, (struct wire_verb *)m->message.body, &e);

	if (m->run != before)
		monitor_say_state(m);
	monitor_reply(m, m->message.header.seq, rc, &e);
}

static void handle_input(struct monitor *m)
{
	if (m->self)
		m->engine->input(m->self, m->message.body, m->message.len);
}

/* ---- the connection ---- */

static void on_message(int fd, short what, void *arg)
{
	static void (*const handlers[WIRE_TYPE_END])(struct monitor * m) = {
		[WIRE_START] = handle_start,
		[WIRE_VERB] = handle_verb,
		[WIRE_INPUT] = handle_input,
	};
	struct monitor *m = arg;
	int rc = 0;

	while (m->daemon >= 0 && (rc = wire_recv(m->daemon, WIRE_DAEMON, &m->message)) == 1) {
		handlers[m->message.header.type](m);
		wire_message_close(&m->message);
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
	if (m->host.loop)
		event_base_free(m->host.loop);
	for (int i = 0; i < WIRE_ROLE_END; i++)
		if (*monitor_slot(m, (unsigned)i) >= 0)
			close(*monitor_slot(m, (unsigned)i));
	if (m->counters)
		munmap(m->counters, COUNTER_MAX * sizeof(uint64_t));
	if (m->has_config)
		m->hooks->config_free(&m->config);
	if (m->ended_fd >= 0)
		close(m->ended_fd);
	if (m->listener >= 0)
		close(m->listener);
	free(m);
}

static struct monitor *monitor_new(int listener, const struct monitor_hooks *hooks)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m) {
		close(listener);
		return NULL;
	}
	m->hooks = hooks;
	m->listener = listener;
	m->daemon = -1;
	for (int i = 0; i < WIRE_ROLE_END; i++)
		*monitor_slot(m, (unsigned)i) = -1;
	m->host.ended = monitor_ended;
	m->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->host.loop = event_base_new();
	if (m->ended_fd < 0 || !m->host.loop)
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

int monitor_main(int listener, const struct monitor_hooks *hooks)
{
	struct monitor *m = monitor_new(listener, hooks);
	bool ran;

	if (!m)
		return -ENOMEM;
	event_base_dispatch(m->host.loop);
	ran = m->run != RUN_NEW;
	monitor_free(m);
	return ran ? 0 : -EIO;
}
