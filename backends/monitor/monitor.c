/* The monitor: see monitor.h. One loop, one machine, one daemon connection at a time. */
#include "backends/monitor/monitor_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/monitor/console.h"

#define PAGE 4096

/* A monitor without a machine and without a daemon has nothing to live for. */
static const struct timeval first_contact = { .tv_sec = 10 };

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
void monitor_say(struct monitor *m, enum wire_type type, uint32_t seq, const void *body, size_t len,
		 const int *fds, int nfds)
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

void monitor_say_state(struct monitor *m, uint32_t seq)
{
	struct wire_state s = monitor_state(m);

	monitor_say(m, WIRE_STATE, seq, &s, sizeof(s), NULL, 0);
}

void monitor_say_hello(struct monitor *m, uint32_t seq)
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
	monitor_say(m, WIRE_HELLO, seq, &h, sizeof(h), fds, n);
}

void monitor_reply(struct monitor *m, uint32_t seq, int code, const struct err *e)
{
	struct wire_reply r = { .code = code };

	if (code)
		snprintf(r.text, sizeof(r.text), "%s", e->text);
	monitor_say(m, WIRE_REPLY, seq, &r, sizeof(r), NULL, 0);
}

/* ---- what its files share ---- */

int monitor_refuse_outside(struct err *e)
{
	return err_set(e, -EBUSY, "the container has not entered its root yet");
}

enum wire_run monitor_held(enum engine_hold hold)
{
	static const enum wire_run runs[HOLD_END] = {
		[HOLD_NONE] = RUN_RUNNING,
		[HOLD_OUTSIDE] = RUN_OUTSIDE,
		[HOLD_INSIDE] = RUN_INSIDE,
	};

	return runs[hold];
}

int *monitor_slot(struct monitor *m, unsigned role)
{
	return role < WIRE_ROLE_ENGINE ? &m->fd[role] : &m->host.fd[role - WIRE_ROLE_ENGINE];
}

void monitor_close_parts(struct monitor *m)
{
	for (unsigned i = 0; i < m->host.npart_fds; i++)
		if (m->host.part_fds[i].fd >= 0)
			close(m->host.part_fds[i].fd);
	free(m->host.part_fds);
	m->host.part_fds = NULL;
	m->host.npart_fds = 0;
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

/* Waits for no more processes than are dead: another machine would have these for children, too. */
static bool childless(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, WNOHANG | __WALL);
	while (pid > 0);
	return pid < 0 && errno == ECHILD;
}

/* Only of the daemon that it waited for: what that holds of it no other one has. */
static void monitor_offer(struct monitor *m)
{
	m->again = m->place.again && m->connections == 1 && childless();
	if (m->again)
		monitor_say(m, WIRE_AGAIN, 0, NULL, 0, NULL, 0);
}

static void on_ended(int fd, short what, void *arg)
{
	struct monitor *m = arg;

	m->engine->free(m->self);
	m->self = NULL;
	ending_record(m->fd[WIRE_ROLE_EXIT], &m->ending);
	m->run = RUN_ENDED;
	monitor_offer(m);
	monitor_say_state(m, 0);
	/* A VM rests when this process has left its control group; a container can by now. */
	if (m->engine->keeps_root) {
		monitor_hang_up(m);
		sched_yield(); /* most often the daemon waits for this CPU, and not for the rest */
	}
	event_base_loopbreak(m->host.loop);
}

/* ---- the connection ---- */

static void on_message(int fd, short what, void *arg)
{
	static void (*const handlers[WIRE_TYPE_END])(struct monitor * m) = {
		[WIRE_START] = monitor_handle_start,
		[WIRE_GROUPS] = monitor_handle_groups,
		[WIRE_VERB] = monitor_handle_verb,
		[WIRE_INPUT] = monitor_handle_input,
		[WIRE_CONFIGURE] = monitor_handle_configure,
		[WIRE_EXEC_START] = monitor_handle_exec_start,
		[WIRE_EXEC_INPUT] = monitor_handle_exec_input,
		[WIRE_EXEC_SIGNAL] = monitor_handle_exec_signal,
	};
	struct monitor *m = arg;
	int rc = 0;

	/* One that has refused its START is at its end, and takes nothing more. */
	while (m->daemon >= 0 && !event_base_got_break(m->host.loop) &&
	       (rc = wire_recv(m->daemon, WIRE_DAEMON, m->message)) == 1) {
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
	monitor_say_hello(m, 0);
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
	m->host.exec = &monitor_exec_listener;
	m->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!m->place.loop)
		m->place.loop = loop_new();
	m->host.loop = m->place.loop;
	/* Of its pages, one is touched by most messages: each is a fault, after every session anew.
	 */
	if (posix_memalign((void **)&m->message, PAGE, sizeof(*m->message)) != 0)
		m->message = NULL;
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
	int rc;

	if (!m)
		return -ENOMEM;
	event_base_dispatch(m->host.loop);
	rc = m->run == RUN_NEW ? -EIO : m->again;
	monitor_free(m);
	return rc;
}
