/* Sessions of a container: see session.h. */
#include "backends/container/session.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/container/enter.h"
#include "backends/container/quotaserver.h"
#include "backends/container/report.h"
#include "backends/monitor/growlog.h"
#include "backends/monitor/wire.h"

#define READ_SIZE (16u << 10)
/* One turn of the loop, and the draining at the end: nobody's output may starve the others. */
#define TURN_MAX  (256u << 10)
#define DRAIN_MAX (4u << 20)
/* Given to read and not taken yet; a write that came when there was more is answered later. */
#define INPUT_MAX   (64u << 10)
#define WRITERS_MAX 64
#define CTRL_D	    4

/* At most one `grew` in this time, so that a chatty session does not flood the daemon. */
static const struct timeval grew_interval = { .tv_usec = 20000 };

/* One of what it prints. */
struct output {
	struct session *session;
	unsigned bit; /* as exec_listener.grew has it */
	int fd;	      /* -1: not yet, or no more */
	struct event *readable;
	struct growlog log;
};

struct session {
	LIST_ENTRY(session) link;
	struct engine_host *host;
	struct sessions *all;
	uint64_t id;
	uint64_t token; /* of start, until it is answered */
	bool tty;
	bool ready; /* it has reported, and fds are its; until then fds wait to be */
	bool running;
	int fds[REPORT_FDS]; /* as enter_fds() says */
	int socket;	     /* until it executes its program */
	pid_t pid;
	int pidfd;
	int exit_fd;
	struct output outputs[2];
	int input; /* -1: none, or closed */
	bool input_ends;
	struct evbuffer *typed;
	uint64_t writers[WRITERS_MAX]; /* tokens, the oldest first */
	unsigned nwriters;
	struct event *reported, *exited, *writable, *timer;
	bool quiet;	  /* within grew_interval of the last `grew` */
	unsigned pending; /* what has grown meanwhile */
};

struct sessions {
	struct engine_host *host;
	struct quotaserver *quotas; /* or NULL */
	unsigned count;
	LIST_HEAD(, session) list;
};

static void answer(struct session *s, uint64_t token, int code, const struct err *e)
{
	s->host->exec->answer(s->host, token, code, e);
}

/* ---- output ---- */

static void tell_grown(struct session *s, unsigned streams)
{
	s->pending |= streams;
	if (s->quiet)
		return;
	s->quiet = true;
	event_add(s->timer, &grew_interval);
	s->host->exec->grew(s->host, s->id, s->pending);
	s->pending = 0;
}

static void on_quiet_over(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	s->quiet = false;
	if (s->pending)
		tell_grown(s, 0);
}

static void output_close(struct output *o)
{
	if (o->readable)
		event_free(o->readable);
	/* With a tty the same is typed to. */
	if (o->fd >= 0 && o->fd != o->session->input)
		close(o->fd);
	o->readable = NULL;
	o->fd = -1;
}

/* Reads until there is nothing more, or max bytes. False when no more will come. */
static bool output_read(struct output *o, size_t max)
{
	char buffer[READ_SIZE];
	bool open = true;
	size_t total = 0;

	while (open && total < max) {
		ssize_t n = read(o->fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		open = n > 0;
		if (open)
			growlog_add(&o->log, buffer, (size_t)n);
		total += n > 0 ? (size_t)n : 0;
	}
	if (total)
		tell_grown(o->session, o->bit);
	return open;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct output *o = arg;

	if (!output_read(o, TURN_MAX))
		output_close(o);
}

/* ---- input ---- */

/* Answers all whose bytes were taken, or with e all that there are. */
static void input_answer(struct session *s, const struct err *e)
{
	if (!e && evbuffer_get_length(s->typed) > INPUT_MAX)
		return;
	for (unsigned i = 0; i < s->nwriters; i++)
		answer(s, s->writers[i], e ? e->code : 0, e);
	s->nwriters = 0;
}

static void input_close(struct session *s)
{
	struct err e = { 0 };

	if (s->writable)
		event_free(s->writable);
	s->writable = NULL;
	if (s->input >= 0 && s->input != s->outputs[0].fd)
		close(s->input);
	s->input = -1;
	evbuffer_drain(s->typed, evbuffer_get_length(s->typed));
	err_set(&e, -EIO, "stdin: nobody reads it any more");
	input_answer(s, &e);
}

/* Nobody reads, and nobody will: EPIPE. Of a tty that was hung up: EIO. */
static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	if (evbuffer_get_length(s->typed) && evbuffer_write(s->typed, s->input) < 0 &&
	    errno != EAGAIN && errno != EINTR) {
		input_close(s);
		return;
	}
	input_answer(s, NULL);
	if (evbuffer_get_length(s->typed))
		event_add(s->writable, NULL);
	else if (s->input_ends)
		input_close(s);
}

static int input_add(struct session *s, const void *data, size_t len, uint64_t token, struct err *e)
{
	const char end = CTRL_D;

	if (s->input < 0 || s->input_ends)
		return err_set(e, -EIO, "stdin: its end was written already");
	if (s->nwriters == WRITERS_MAX)
		return err_set(e, -EBUSY, "stdin: %u writers wait already", s->nwriters);
	if (len == 0 && s->tty) { // a terminal's end of input is typed
		data = &end;
		len = 1;
	} else if (len == 0) {
		s->input_ends = true;
	}
	if (len && evbuffer_add(s->typed, data, len) < 0)
		return err_sys(e, ENOMEM, "stdin");
	s->writers[s->nwriters++] = token;
	on_writable(s->input, EV_WRITE, s);
	return 0;
}

/* ---- end ---- */

static void session_free(struct session *s)
{
	struct event *events[] = { s->reported, s->exited, s->timer };
	int fds[] = { s->socket, s->exit_fd, s->fds[0], s->fds[1], s->fds[2], s->fds[3] };
	siginfo_t info;

	LIST_REMOVE(s, link);
	s->all->count--;
	if (s->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED);
		close(s->pidfd);
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	if (s->typed)
		input_close(s);
	for (int i = 0; i < 2; i++) {
		output_close(&s->outputs[i]);
		growlog_close(&s->outputs[i].log);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (s->typed)
		evbuffer_free(s->typed);
	free(s);
}

static void session_refuse(struct session *s, int code, const struct err *e)
{
	answer(s, s->token, code, e);
	session_free(s);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct exec_state state = { .id = s->id, .ending = { .kind = ENDING_EXITED } };
	struct engine_host *host = s->host;
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) < 0) {
		if (errno == EINTR)
			return;
		state.ending.kind = ENDING_FAILED;
		strcpy(state.ending.why, "the process was reaped by somebody else");
	} else {
		state.ending.code = info.si_status;
		if (info.si_code != CLD_EXITED)
			state.ending.kind = ENDING_SIGNALED;
	}
	close(s->pidfd);
	s->pidfd = -1;
	for (int i = 0; i < 2; i++)
		if (s->outputs[i].fd >= 0)
			output_read(&s->outputs[i], DRAIN_MAX);
	if (s->pending)
		host->exec->grew(host, s->id, s->pending);
	ending_record(s->exit_fd, &state.ending);
	session_free(s);
	host->exec->state(host, &state);
}

/* ---- start ---- */

static int session_watch(struct session *s, struct err *e)
{
	struct event_base *loop = s->host->loop;
	bool tty = s->tty;

	if (s->all->quotas)
		quotaserver_add(s->all->quotas, s->fds[enter_fds(tty)]);
	s->input = s->fds[0];
	s->outputs[0].fd = tty ? s->fds[0] : s->fds[1];
	s->outputs[1].fd = tty ? -1 : s->fds[2];
	if (tty) // whose slave is open in the process: no need of ours
		close(s->fds[1]);
	s->fds[0] = s->fds[1] = s->fds[2] = s->fds[3] = -1;
	s->exited = event_new(loop, s->pidfd, EV_READ | EV_PERSIST, on_exited, s);
	s->writable = event_new(loop, s->input, EV_WRITE, on_writable, s);
	for (int i = 0; i < 2; i++)
		if (s->outputs[i].fd >= 0)
			s->outputs[i].readable =
				event_new(loop, s->outputs[i].fd, EV_READ | EV_PERSIST, on_readable,
					  &s->outputs[i]);
	if (!s->exited || !s->writable || !s->outputs[0].readable ||
	    (!tty && !s->outputs[1].readable) || event_add(s->exited, NULL) < 0 ||
	    event_add(s->outputs[0].readable, NULL) < 0 ||
	    (!tty && event_add(s->outputs[1].readable, NULL) < 0))
		return err_sys(e, ENOMEM, "starting a process in the container");
	return 0;
}

/* Its program runs. */
static void session_begin(struct session *s)
{
	struct exec_state state = {
		.id = s->id, .token = s->token, .running = true, .pid = s->pid
	};
	struct err e = { 0 };

	if (session_watch(s, &e) < 0) {
		session_refuse(s, e.code, &e);
		return;
	}
	s->running = true;
	s->host->exec->state(s->host, &state);
}

/* What the process says until it executes its program; it may never do so. */
static void on_report(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct child_report report;
	struct err e = { 0 };
	int r = report_receive(fd, &report, s->fds, enter_fds(s->tty) + (s->all->quotas != NULL));

	if (r == -EAGAIN)
		return;
	if (r == 1 && report.errnum == 0 && s->fds[0] >= 0) {
		s->ready = true;
		return;
	}
	event_free(s->reported);
	s->reported = NULL;
	close(s->socket);
	s->socket = -1;
	if (r == 0 && s->ready)
		session_begin(s);
	else if (r == 1 && report.errnum)
		session_refuse(s, report_explain(&report, &e), &e);
	else
		session_refuse(s, err_set(&e, -EIO, "argv: killed before it could be executed"),
			       &e);
}

static struct session *session_new(struct sessions *all, const struct exec_spec *spec)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->host = all->host;
	s->all = all;
	s->id = spec->id;
	s->tty = spec->tty;
	s->socket = s->pidfd = s->exit_fd = s->input = -1;
	s->fds[0] = s->fds[1] = s->fds[2] = s->fds[3] = -1;
	for (int i = 0; i < 2; i++)
		s->outputs[i] = (struct output){
			.session = s, .bit = 1u << i, .fd = -1, .log = { -1, -1, 0 }
		};
	LIST_INSERT_HEAD(&all->list, s, link);
	all->count++;
	s->typed = evbuffer_new();
	s->timer = evtimer_new(all->host->loop, on_quiet_over, s);
	if (s->typed && s->timer)
		return s;
	session_free(s);
	return NULL;
}

static int session_take_fds(struct session *s, struct exec_spec *spec, struct err *e)
{
	int *fd = spec->fd, r = 0;

	for (int i = 0; i < EXEC_FD_COUNT; i++)
		if (fd[i] < 0)
			return err_set(e, -EINVAL, "ctl: start: a descriptor is missing");
	for (int i = 0; r == 0 && i < 2; i++) {
		r = growlog_init(&s->outputs[i].log, fd[2 * i], fd[2 * i + 1], e);
		if (r == 0)
			fd[2 * i] = fd[2 * i + 1] = -1;
	}
	if (r == 0) {
		s->exit_fd = fd[EXEC_FD_EXIT];
		fd[EXEC_FD_EXIT] = -1;
	}
	return r;
}

static int session_enter(struct session *s, int init, const struct exec_spec *spec, struct err *e)
{
	struct entered entered;
	struct plan plan;
	int r = plan_init_session(&plan, s->host, spec, e);

	if (r < 0)
		return r;
	r = container_enter(&plan, init, &entered, e);
	plan_free(&plan);
	if (r < 0)
		return r;
	s->pid = entered.pid;
	s->pidfd = entered.pidfd;
	s->socket = entered.socket;
	s->reported = event_new(s->host->loop, s->socket, EV_READ | EV_PERSIST, on_report, s);
	if (!s->reported || event_add(s->reported, NULL) < 0)
		return err_sys(e, ENOMEM, "starting a process in the container");
	return 0;
}

static struct session *find(const struct sessions *all, uint64_t id)
{
	struct session *s;

	LIST_FOREACH(s, &all->list, link)
	if (s->id == id)
		return s;
	return NULL;
}

int sessions_start(struct sessions *all, int init, struct exec_spec *spec, uint64_t token,
		   struct err *e)
{
	struct session *s;
	int r;

	if (find(all, spec->id))
		return err_set(e, -EEXIST, "ctl: start: it runs");
	if (all->count >= SESSIONS_MAX)
		return err_set(e, -EBUSY, "ctl: start: %u sessions run in this container already",
			       all->count);
	s = session_new(all, spec);
	if (!s)
		return err_sys(e, ENOMEM, "ctl: start");
	s->token = token;
	r = session_take_fds(s, spec, e);
	if (r == 0)
		r = session_enter(s, init, spec, e);
	if (r < 0)
		session_free(s);
	return r;
}

/* ---- the other operations ---- */

static int find_running(const struct sessions *all, uint64_t id, struct session **ret,
			struct err *e)
{
	*ret = find(all, id);
	return *ret && (*ret)->running ? 0 : err_set(e, -EBUSY, "the session does not run");
}

int sessions_input(struct sessions *all, uint64_t id, const void *data, size_t len, uint64_t token,
		   struct err *e)
{
	struct session *s;
	int r = find_running(all, id, &s, e);

	return r < 0 ? r : input_add(s, data, len, token, e);
}

/* One that has not executed its program yet may be stuck: it can be killed, too. */
int sessions_signal(struct sessions *all, uint64_t id, int signo, struct err *e)
{
	struct session *s = find(all, id);

	if (!s || (!s->running && signo != SIGKILL))
		return err_set(e, -EBUSY, "the session does not run");
	if (syscall(SYS_pidfd_send_signal, s->pidfd, signo, NULL, 0) == 0)
		return 0;
	return errno == ESRCH ? err_set(e, -EBUSY, "the session has ended")
			      : err_sys(e, errno, "signal %d", signo);
}

void sessions_list(struct sessions *all)
{
	struct session *s;

	LIST_FOREACH(s, &all->list, link)
	if (s->running) {
		struct exec_state state = { .id = s->id, .running = true, .pid = s->pid };

		all->host->exec->state(all->host, &state);
	}
}

/* ---- life ---- */

int sessions_new(struct engine_host *host, struct sessions **ret, struct err *e)
{
	struct sessions *all = calloc(1, sizeof(*all));

	if (!all)
		return err_sys(e, ENOMEM, "starting the container");
	all->host = host;
	LIST_INIT(&all->list);
	*ret = all;
	return 0;
}

void sessions_set_quotas(struct sessions *all, struct quotaserver *quotas)
{
	all->quotas = quotas;
}

/* Their ends are told before the container's. */
static void session_abandon(struct session *s)
{
	struct exec_state state = { .id = s->id, .ending = { ENDING_SIGNALED, SIGKILL, "" } };
	struct engine_host *host = s->host;
	bool running = s->running;
	struct err e = { 0 };

	if (running) {
		ending_record(s->exit_fd, &state.ending);
	} else {
		err_set(&e, -ENXIO, "ctl: start: the container has ended");
		answer(s, s->token, e.code, &e);
	}
	session_free(s);
	if (running)
		host->exec->state(host, &state);
}

void sessions_free(struct sessions *all)
{
	if (!all)
		return;
	while (!LIST_EMPTY(&all->list))
		session_abandon(LIST_FIRST(&all->list));
	free(all);
}
