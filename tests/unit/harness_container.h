/*
 * A monitor as small as can be, to run containers in unit tests: a loop, an engine_host, the
 * machine's control group, and a console whose log is kept in memory.
 */
#ifndef TESTS_UNIT_HARNESS_CONTAINER_H
#define TESTS_UNIT_HARNESS_CONTAINER_H

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "backends/base/text.h"
#include "backends/cgroup/cgroup_priv.h"
#include "backends/container/capabilities.h"
#include "backends/container/seccomp.h"
#include "backends/engine.h"
#include "backends/monitor/console.h"

struct harness {
	struct machine_config config;
	struct engine_host host;
	_Atomic uint64_t counters[COUNTER_MAX];
	bool keep_console; /* one for all runs */
	int log;	   /* of the console, to read */
	struct text output;
	struct cgroup_host *groups;
	struct cgroup *group;
	char parent[32]; /* below which the groups are */
	bool v2;	 /* groups of version 2 only */
	int filter;	 /* the default profile for default capabilities */
	void *self;
	bool ended;
	struct ending ending;
	struct err err;
};

static void harness_console_event(void *arg)
{
}

static void harness_console_typed(void *arg, const void *data, size_t len)
{
}

/* A console whose log is a memory file, fresh for every start. */
static int harness_console(struct harness *h)
{
	static const struct console_ops ops = { harness_console_event, harness_console_typed };
	int log = memfd_create("log", MFD_CLOEXEC), old = memfd_create("old", MFD_CLOEXEC);
	struct pty pty;

	pty_open(&pty);
	h->log = fcntl(log, F_DUPFD_CLOEXEC, 3);
	return console_new(h->host.loop, log, old, &pty, &ops, NULL, &h->host.console, &h->err);
}

static void harness_console_free(struct harness *h)
{
	console_free(h->host.console);
	h->host.console = NULL;
	if (h->log >= 0)
		close(h->log);
	h->log = -1;
}

/* Brings output up to date. */
static void harness_fetch(struct harness *h)
{
	text_clear(&h->output);
	lseek(h->log, 0, SEEK_SET);
	text_read_fd(&h->output, h->log);
}

static void harness_ended(struct engine_host *host, const struct ending *ending)
{
	struct harness *h = (struct harness *)((char *)host - offsetof(struct harness, host));

	h->ended = true;
	h->ending = *ending;
	event_base_loopbreak(host->loop);
}

/* Defaults of the attribute tables, as a newcomer has them. */
static void harness_defaults(struct harness *h, const char *root)
{
	h->config = (struct machine_config){
		.kind = KIND_CONTAINER,
		.cpu_weight = 100,
		.cpu_count = LIMIT_MAX,
		.cpu_max = { LIMIT_MAX, 100000 },
		.memory_size = LIMIT_MAX,
		.pids_max = LIMIT_MAX,
		.container = {
			.root = (char *)(uintptr_t)root,
			.root_writable = ROOT_DIRECT,
			.cwd = (char *)(uintptr_t)"/",
			.hostname = (char *)(uintptr_t)"",
			.namespaces = NS_PID | NS_MOUNT | NS_NET | NS_UTS | NS_IPC | NS_CGROUP,
			.capabilities = CAPABILITIES_DEFAULT,
			.umask = 022,
			.no_new_privs = true,
			.masked = (char *)(uintptr_t)MASKED_DEFAULT,
			.readonly_paths = (char *)(uintptr_t)READONLY_DEFAULT,
			.io_priority = 4,
			.memory_high = LIMIT_MAX,
			.memory_swap_max = LIMIT_MAX,
			.io_weight = 100,
		},
	};
}

static void harness_prepare(struct harness *h, const char *root)
{
	memset(h, 0, sizeof(*h));
	/* Two runs of the tests at once must not meet in one group. */
	snprintf(h->parent, sizeof(h->parent), "machinefs-unit-%d", (int)getpid());
	harness_defaults(h, root);
	h->host.loop = event_base_new();
	h->host.config = &h->config;
	h->host.name = "unit";
	h->log = -1;
	h->host.counters = h->counters;
	h->host.ended = harness_ended;
	for (int i = 0; i < ENGINE_FD_COUNT; i++)
		h->host.fd[i] = -1;
	h->filter = -1;
}

static int harness_new(struct harness *h, const char *root)
{
	int r;

	harness_prepare(h, root);
	r = cgroup_host_new(h->parent, &h->groups, &h->err);
	h->v2 = r == 0 && h->groups->n == 1 && h->groups->hier[0].v2;
	return r < 0 ? r : seccomp_profile_export(CAPABILITIES_DEFAULT, false, &h->filter, &h->err);
}

static void harness_free(struct harness *h);

/* With one version alone ("cgroup" or "cgroup2"), of a host that has both; ENXIO on others. */
__attribute__((unused)) static int harness_new_version(struct harness *h, const char *root,
						       const char *type)
{
	struct text info = TEXT_INIT, self = TEXT_INIT, one = TEXT_INIT;
	char *save = NULL, mark[32];
	int r = harness_new(h, root);

	if (r < 0 || h->groups->n == 1) {
		harness_free(h);
		return -ENXIO;
	}
	cgroup_host_free(h->groups);
	h->groups = NULL;
	snprintf(mark, sizeof(mark), " - %s ", type);
	cgroup_read_file(AT_FDCWD, "/proc/self/mountinfo", &info);
	cgroup_read_file(AT_FDCWD, "/proc/self/cgroup", &self);
	for (char *l = strtok_r(info.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strstr(l, mark))
			text_addf(&one, "%s\n", l);
	r = cgroup_host_parse(text_str(&one), text_str(&self), h->parent, &h->groups, &h->err);
	if (r < 0)
		harness_free(h);
	h->v2 = !strcmp(type, "cgroup2");
	text_free(&info);
	text_free(&self);
	text_free(&one);
	return r;
}

/* Makes the group and starts the container; on failure all is as before. */
static int harness_start(struct harness *h)
{
	int *fd = h->host.fd, r;

	h->ended = false;
	h->err = (struct err){ 0 };
	text_clear(&h->output);
	r = h->host.console ? 0 : harness_console(h);
	if (r == 0)
		r = cgroup_new(h->groups, h->host.name, &h->group, &h->err);
	if (r < 0)
		return r;
	cgroup_restrict_devices(h->group, &h->err);
	cgroup_limit(h->group, &h->config, NULL, &h->err);
	cgroup_open_procs(h->group, fd + ENGINE_FD_CGROUP, ENGINE_CGROUP_MAX, &h->err);
	cgroup_open_freezer(h->group, &fd[ENGINE_FD_FREEZER], &fd[ENGINE_FD_FROZEN], &h->err);
	fd[ENGINE_FD_ROOT] = open(h->config.container.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd[ENGINE_FD_SECCOMP] = fcntl(h->filter, F_DUPFD_CLOEXEC, 3);
	return container_engine.start(&h->host, &h->self, &h->err);
}

/* True when the group could be removed: nothing runs in it any more. */
static bool harness_clean(struct harness *h)
{
	time_t end = time(NULL) + 20; /* the last of many may take its time on a busy machine */
	bool removed = false;

	for (int i = 0; i < ENGINE_FD_COUNT; i++) {
		if (h->host.fd[i] >= 0)
			close(h->host.fd[i]);
		h->host.fd[i] = -1;
	}
	cgroup_free(h->group);
	h->group = NULL;
	if (!h->keep_console)
		harness_console_free(h);
	for (int i = 0; !removed && time(NULL) < end; i++) {
		removed = cgroup_remove(h->groups, h->host.name, &h->err) == 0;
		if (!removed)
			usleep(i < 10 ? 100 : 1000);
	}
	return removed;
}

static void harness_timeout(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(((struct harness *)arg)->host.loop);
}

/* Runs the loop for so long, or until the container has ended. */
static bool harness_loop(struct harness *h, int ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };
	struct event *timer;

	if (h->ended)
		return true;
	timer = event_new(h->host.loop, -1, 0, harness_timeout, h);
	event_add(timer, &t);
	event_base_dispatch(h->host.loop);
	event_free(timer);
	harness_fetch(h);
	return h->ended;
}

/* Waits for the end, killing it after ten seconds; true when all is clean. */
static bool harness_finish(struct harness *h)
{
	if (!harness_loop(h, 10000)) {
		container_engine.kill(h->self, &h->err);
		harness_loop(h, 5000);
	}
	container_engine.free(h->self);
	h->self = NULL;
	return harness_clean(h);
}

/* Starts, waits, frees: the output, or NULL with h->err. */
static const char *harness_run(struct harness *h, const char *init)
{
	h->config.container.init = (char *)(uintptr_t)init;
	if (harness_start(h) < 0) {
		struct err why = h->err;

		harness_clean(h);
		h->err = why;
		return NULL;
	}
	if (!harness_finish(h))
		return NULL;
	return text_str(&h->output);
}

static void harness_free(struct harness *h)
{
	harness_console_free(h);
	text_free(&h->output);
	if (h->filter >= 0)
		close(h->filter);
	cgroup_host_free(h->groups);
	event_base_free(h->host.loop);
}

#endif
