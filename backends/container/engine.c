/*
 * container_engine: a container's life as its monitor sees it. See engine.h.
 *
 * start() clones init (launch.c), then two events remain: the console's pty and init's pidfd.
 * The container ends when init does. In its own pid namespace the kernel then kills the rest;
 * without one the rest is killed here, by the list of the machine's control group. Processes that
 * lose their parent there become children of the host's init, not of the monitor: it may be a
 * thread of the daemon, where reaping strangers would be wrong.
 */
#include "backends/engine.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "backends/cgroup/cgroup.h"
#include "backends/container/device_part.h"
#include "backends/container/label.h"
#include "backends/container/launch.h"
#include "backends/container/mount_part.h"
#include "backends/container/nics.h"
#include "backends/container/quota.h"
#include "backends/container/quotaserver.h"
#include "backends/container/seccomp_file.h"
#include "backends/container/session.h"
#include "backends/container/terminal.h"
#include "backends/container/userquota.h"
#include "backends/monitor/console.h"

struct container {
	struct engine_host *host;
	struct terminal *terminal;
	struct sessions *sessions;
	struct nics *nics;	    /* NULL until there are any */
	struct quotaserver *quotas; /* NULL without quota.delegate */
	struct event *exited;
	pid_t pid;
	int pidfd;
	struct launched held; /* its init, with a socket while that is held */
	int stop_signal;
	struct devices *devices;
	uint64_t namespaces; /* its own */
	struct layer layer;  /* open while it runs, if it has one */
	bool own_pids;	     /* it has a pid namespace */
	bool own_net;
	bool over; /* init was reaped */
};

static void on_output(void *arg, const void *data, size_t len)
{
	struct container *c = arg;

	atomic_fetch_add_explicit(&c->host->counters[COUNTER_CONSOLE_BYTES], len,
				  memory_order_relaxed);
	console_output(c->host->console, data, len);
}

static void kill_rest(struct container *c)
{
	const int *fd = c->host->fd;

	if (!c->own_pids && fd[ENGINE_FD_CGROUP] >= 0)
		cgroup_kill_listed(fd[ENGINE_FD_CGROUP], fd[ENGINE_FD_FREEZER],
				   fd[ENGINE_FD_FROZEN], NULL);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct container *c = arg;
	struct ending ending = { .kind = ENDING_EXITED };
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0) {
		if (errno == EINTR)
			return;
		ending.kind = ENDING_FAILED;
		strcpy(ending.why, "init was reaped by somebody else");
	} else {
		ending.code = info.si_status;
		if (info.si_code != CLD_EXITED)
			ending.kind = ENDING_SIGNALED;
	}
	c->over = true;
	event_del(c->exited);
	kill_rest(c);
	if (c->terminal)
		terminal_drain(c->terminal);
	c->host->ended(c->host, &ending); // may have freed c
}

/* systemd takes SIGTERM for something else; podman's rule for which init is systemd. */
static int stop_signal(const char *program, const char *set)
{
	static const char *const paths[] = { "/sbin/init", "/usr/sbin/init",
					     "/usr/local/sbin/init" };
	const char *name = strrchr(program, '/');

	if (set && *set)
		return signal_number(set);
	if (!strcmp(name ? name + 1 : program, "systemd"))
		return SIGRTMIN + 3;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(program, paths[i]))
			return SIGRTMIN + 3;
	return SIGTERM;
}

static void container_free(void *self)
{
	struct container *c = self;
	siginfo_t info;

	if (!c)
		return;
	if (c->exited)
		event_free(c->exited);
	sessions_free(c->sessions); // before init, which waits for them
	if (c->pidfd >= 0 && !c->over) {
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED);
		kill_rest(c);
	}
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->held.socket >= 0)
		close(c->held.socket);
	quotaserver_free(c->quotas);
	layer_close(&c->layer);
	nics_free(c->nics);
	free(c->devices);
	terminal_free(c->terminal);
	free(c);
}

/* Takes over what init has sent, if it has, also when it fails. */
static int take_console(struct container *c, const struct launched *init, struct err *e)
{
	const struct container_config *config = &c->host->config->container;
	const int *more = init->fds + 2;

	if (!init->ready || c->terminal)
		return 0;
	if (config->landlock.n)
		c->host->fd[ENGINE_FD_LANDLOCK] = *more++;
	if (config->quota_delegate)
		quotaserver_add(c->quotas, *more);
	return terminal_new(c->host->loop, init->fds[0], init->fds[1], on_output, c, &c->terminal,
			    e);
}

/* Takes over what was launched, also when it fails. */
static int watch(struct container *c, const struct launched *init, struct err *e)
{
	int r;

	c->pid = init->pid;
	c->pidfd = init->pidfd;
	c->held = *init;
	r = take_console(c, init, e);
	if (r < 0)
		return r;
	c->exited = event_new(c->host->loop, init->pidfd, EV_READ | EV_PERSIST, on_exited, c);
	return c->exited && event_add(c->exited, NULL) == 0
		       ? 0
		       : err_sys(e, ENOMEM, "starting the container");
}

static int set_nics(struct container *c, pid_t pid, const struct machine_config *next,
		    struct err *e)
{
	int r = 0;

	if (!c->nics && next->parts[PART_NIC].n == 0)
		return 0;
	if (!c->own_net)
		return err_set(e, -EINVAL, "nic: the container has no net among its namespaces");
	if (!c->nics)
		r = nics_new(c->host, pid, &c->nics, e);
	return r < 0 ? r : nics_configure(c->nics, next, e);
}

static int on_born(void *arg, pid_t pid, struct err *e)
{
	struct container *c = arg;

	return set_nics(c, pid, c->host->config, e);
}

/* The layer's own last, since that is not taken back. */
static int set_quotas(struct container *c, const struct container_config *next, struct err *e)
{
	const struct container_config *now = &c->host->config->container;
	int r = userquota_check(next, c->layer.dir >= 0, e);

	if (r < 0 || c->layer.dir < 0)
		return r;
	r = userquota_set(&c->layer, now, next, e);
	if (r < 0)
		return r;
	r = layer_set(&c->layer, &next->quota, e);
	if (r < 0)
		userquota_set(&c->layer, next, now, NULL);
	return r;
}

static int container_configure(void *self, const struct machine_config *next, struct err *e)
{
	struct container *c = self;
	int r = set_nics(c, c->pid, next, e);

	if (r == 0)
		r = mounts_configure(c->host, c->pidfd, c->namespaces, next, e);
	if (r == 0)
		r = devices_configure(c->devices, c->host, c->pidfd, c->namespaces, next, e);
	return r < 0 ? r : set_quotas(c, &next->container, e);
}

static int serve_quotas(struct container *c, const struct plan *p, pid_t init, struct err *e)
{
	bool user = p->namespaces & NS_USER;
	const struct quotaserver_setup setup = {
		.dir = c->layer.dir,
		.device = c->layer.device,
		.uids = user ? text_str(&p->map.uids) : NULL,
		.gids = user ? text_str(&p->map.gids) : NULL,
		.disk_inside = !c->layer.uids,
		.init = init,
		.capabilities = p->config->capabilities,
	};
	int r = p->config->quota_delegate ? quotaserver_new(&setup, &c->quotas, e) : 0;

	sessions_set_quotas(c->sessions, c->quotas);
	return r;
}

/* From here on it is a program, for init and for every session. */
static int compile_profile(struct engine_host *host, struct err *e)
{
	int *fd = &host->fd[ENGINE_FD_SECCOMP_FILE], program = -1, r;

	if (*fd < 0)
		return 0;
	r = seccomp_file_read(*fd, host->config->container.capabilities, &program, e);
	if (r < 0)
		return r;
	close(*fd);
	*fd = program;
	return 0;
}

static int container_prepare(void **ret_prepared)
{
	struct stock *s = malloc(sizeof(*s));

	*ret_prepared = s;
	return s ? stock_make(s) : 0;
}

static void container_forget(void *prepared)
{
	stock_close(prepared);
	free(prepared);
}

/* Where the child waits for its interfaces, they are given to the namespace that it is born in. */
static void take_from_stock(const struct engine_host *host, struct plan *p)
{
	const struct stock *s = host->prepared;

	if (!s || (p->namespaces & NS_USER))
		return;
	if ((p->namespaces & NS_MOUNT) && !label_of_files(p->config))
		p->stock.dev = s->dev;
	if (!(p->namespaces & NS_NET) || p->waits)
		return;
	p->stock.net = s->net;
	if (p->namespaces & NS_MOUNT)
		p->stock.sys = s->sys;
}

static int container_start(struct engine_host *host, void **ret_self, struct err *e)
{
	struct container *c = calloc(1, sizeof(*c));
	struct launch_hook born = { on_born, c };
	struct launched init;
	struct plan plan;
	int r, served = 0;

	if (!c)
		return err_sys(e, ENOMEM, "starting the container");
	c->host = host;
	c->pidfd = c->held.socket = -1;
	c->layer = LAYER_NONE;
	c->devices = devices_new();
	r = c->devices ? sessions_new(host, &c->sessions, e)
		       : err_sys(e, ENOMEM, "starting the container");
	if (r == 0)
		r = compile_profile(host, e);
	if (r == 0)
		r = plan_init(&plan, host, e);
	if (r < 0)
		goto fail;
	plan.kept = &c->layer;
	plan.devices = c->devices;
	take_from_stock(host, &plan);
	c->own_pids = plan.namespaces & NS_PID;
	c->own_net = plan.namespaces & NS_NET;
	c->namespaces = plan.namespaces;
	c->stop_signal = stop_signal(plan.argv[0], host->config->container.stop_signal);
	r = devices_init(c->devices, host, plan.namespaces, e);
	if (r == 0)
		r = container_launch(&plan, &born, &init, e);
	if (r == 0)
		served = serve_quotas(c, &plan, init.pid, e);
	devices_close(c->devices);
	plan_free(&plan);
	if (host->prepared)
		stock_close(host->prepared);
	if (r == 0)
		r = watch(c, &init, e);
	r = r < 0 ? r : served;
	if (r < 0)
		goto fail;
	*ret_self = c;
	return 0;
fail:
	container_free(c);
	return r;
}

/* An init that cannot go on. */
static void give_up(struct container *c, const struct err *why)
{
	struct ending ending = { .kind = ENDING_FAILED };
	siginfo_t info;

	syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	c->over = true;
	event_del(c->exited);
	kill_rest(c);
	snprintf(ending.why, sizeof(ending.why), "%.255s", why->text);
	c->host->ended(c->host, &ending);
}

static int container_release_init(void *self, enum engine_hold hold, struct err *e)
{
	struct container *c = self;
	int r = container_release(&c->held, hold, e);

	if (r == 0)
		r = take_console(c, &c->held, e);
	if (r < 0)
		give_up(c, e);
	return r;
}

static pid_t container_pid(void *self)
{
	return ((struct container *)self)->pid;
}

/* A pidfd never means another process, however long init has been gone. */
static int container_signal(void *self, int signo, struct err *e)
{
	struct container *c = self;

	if (signo < 1 || signo >= NSIG)
		return err_set(e, -EINVAL, "signal: %d is outside 1..%d", signo, NSIG - 1);
	if (syscall(SYS_pidfd_send_signal, c->pidfd, signo, NULL, 0) == 0)
		return 0;
	if (errno == ESRCH)
		return err_set(e, -EBUSY, "init has ended");
	return err_sys(e, errno, "signal %d", signo);
}

static int container_stop(void *self, struct err *e)
{
	return container_signal(self, ((struct container *)self)->stop_signal, e);
}

static int set_frozen(struct container *c, bool freeze, struct err *e)
{
	if (c->host->fd[ENGINE_FD_FREEZER] < 0)
		return err_set(e, -ENXIO, "this host's control groups have no freezer");
	return freezer_set(c->host->fd[ENGINE_FD_FREEZER], c->host->fd[ENGINE_FD_FROZEN], freeze,
			   e);
}

/* v1 delivers no signal to what is frozen, so it is thawed with death already pending. */
static int container_kill(void *self, struct err *e)
{
	struct container *c = self;
	int r = container_signal(c, SIGKILL, e);

	if (c->host->fd[ENGINE_FD_FREEZER] >= 0)
		set_frozen(c, false, NULL);
	return r;
}

static int container_pause(void *self, struct err *e)
{
	return set_frozen(self, true, e);
}

static int container_resume(void *self, struct err *e)
{
	return set_frozen(self, false, e);
}

static size_t container_input(void *self, const void *data, size_t len)
{
	struct container *c = self;

	/* Outside its root it has none yet. */
	return c->terminal ? terminal_input(c->terminal, data, len) : 0;
}

static int container_layer(void *self)
{
	const struct layer *l = &((struct container *)self)->layer;

	return l->disk >= 0 ? l->dir : -1;
}

static int container_exec_start(void *self, struct exec_spec *s, uint64_t token, struct err *e)
{
	struct container *c = self;

	return sessions_start(c->sessions, c->pidfd, s, token, e);
}

static int container_exec_input(void *self, uint64_t id, const void *data, size_t len,
				uint64_t token, struct err *e)
{
	return sessions_input(((struct container *)self)->sessions, id, data, len, token, e);
}

static int container_exec_signal(void *self, uint64_t id, int signo, struct err *e)
{
	return sessions_signal(((struct container *)self)->sessions, id, signo, e);
}

static void container_exec_list(void *self)
{
	sessions_list(((struct container *)self)->sessions);
}

static const struct exec_ops exec_ops = {
	.start = container_exec_start,
	.input = container_exec_input,
	.signal = container_exec_signal,
	.list = container_exec_list,
};

const struct engine container_engine = {
	.keeps_root = true,
	.name = "container",
	.prepare = container_prepare,
	.forget = container_forget,
	.start = container_start,
	.release = container_release_init,
	.pid = container_pid,
	.stop = container_stop,
	.kill = container_kill,
	.pause = container_pause,
	.resume = container_resume,
	.configure = container_configure,
	.signal = container_signal,
	.input = container_input,
	.layer = container_layer,
	.exec = &exec_ops,
	.free = container_free,
};
