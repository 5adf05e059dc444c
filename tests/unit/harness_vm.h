/*
 * A machine on vm_engine for unit tests: makes the engine_host a monitor would give it, keeps
 * what the guest prints in a memory file, and waits with a time limit. The test's main thread is
 * the loop thread.
 */
#ifndef TESTS_UNIT_HARNESS_VM_H
#define TESTS_UNIT_HARNESS_VM_H

#include <event2/event.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "backends/engine.h"
#include "backends/monitor/console.h"
#include "tests/unit/tap.h"

static void machine_grew(void *arg)
{
}

static void machine_typed(void *arg, const void *data, size_t len)
{
}

static int machine_console(int log, int old, struct event_base *loop, struct console **ret)
{
	static const struct console_ops ops = { machine_grew, machine_typed };
	struct pty pty;

	pty_open(&pty);
	return console_new(loop, log, old, &pty, &ops, NULL, ret, NULL);
}

struct machine {
	struct engine_host host;
	struct machine_config config;
	_Atomic uint64_t counters[COUNTER_MAX];
	int log; /* a second descriptor of the console's log, to read from */
	void *self;
	struct err err;
	pthread_mutex_t lock;
	int endings; /* calls of ended() */
	struct ending ending;
};

__attribute__((unused)) static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

__attribute__((unused)) static unsigned long host_mib(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 ? 0 : si.totalram / 1048576 * si.mem_unit;
}

static void machine_ended(struct engine_host *host, const struct ending *ending)
{
	struct machine *m = (struct machine *)((char *)host - offsetof(struct machine, host));

	pthread_mutex_lock(&m->lock);
	m->endings++;
	m->ending = *ending;
	pthread_mutex_unlock(&m->lock);
}

static void machine_notice(struct engine_host *host, enum engine_notice notice, const char *text)
{
}

/* $GUEST_DIR, or where the runner builds. */
static const char *guest_dir(void)
{
	static char dir[2048];
	const char *b = getenv("B");

	if (getenv("GUEST_DIR"))
		return getenv("GUEST_DIR");
	snprintf(dir, sizeof(dir), "%s/tests/guest", b ? b : "build");
	return dir;
}

/* Opens a guest by path, or by its name in the guests' directory. */
static int open_guest(const char *name)
{
	char path[4096];

	if (!name)
		return -1;
	snprintf(path, sizeof(path), "%s%s%s", *name == '/' ? "" : guest_dir(),
		 *name == '/' ? "" : "/", name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Everything but start: the test may still change config and host.fd. */
__attribute__((unused)) static void machine_prepare(struct machine *m, const char *kernel,
						    const char *cmdline)
{
	memset(m, 0, sizeof(*m));
	for (int i = 0; i < ENGINE_FD_COUNT; i++)
		m->host.fd[i] = -1;
	pthread_mutex_init(&m->lock, NULL);
	m->config.kind = KIND_VM;
	m->config.cpu_count = 1;
	m->config.memory_size = 64 << 20;
	m->config.vm.kernel = strdup(kernel ? kernel : "");
	m->config.vm.initrd = strdup("");
	m->config.vm.cmdline = strdup(cmdline);
	m->host.config = &m->config;
	m->host.name = "test";
	m->host.uid = getuid();
	m->host.gid = getgid();
	m->host.loop = event_base_new();
	m->host.counters = m->counters;
	m->host.ended = machine_ended;
	m->host.notice = machine_notice;
	m->host.fd[ENGINE_FD_KVM] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	m->host.fd[ENGINE_FD_KERNEL] = open_guest(kernel);
	int log = memfd_create("log", MFD_CLOEXEC), old = memfd_create("old", MFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log);
	m->log = open(path, O_RDWR | O_CLOEXEC);
	fcntl(log, F_SETFL, O_APPEND);
	if (machine_console(log, old, m->host.loop, &m->host.console) < 0)
		abort();
}

__attribute__((unused)) static int machine_go(struct machine *m)
{
	return vm_engine.start(&m->host, &m->self, &m->err);
}

__attribute__((unused)) static int machine_start(struct machine *m, const char *kernel,
						 const char *cmdline)
{
	machine_prepare(m, kernel, cmdline);
	return machine_go(m);
}

__attribute__((unused)) static void machine_free(struct machine *m)
{
	if (m->self)
		vm_engine.free(m->self);
	console_free(m->host.console);
	event_base_free(m->host.loop);
	for (int i = 0; i < ENGINE_FD_COUNT; i++)
		if (m->host.fd[i] >= 0)
			close(m->host.fd[i]);
	close(m->log);
	free(m->config.vm.kernel);
	free(m->config.vm.initrd);
	free(m->config.vm.cmdline);
	free(m->config.vm.cpu_model);
	pthread_mutex_destroy(&m->lock);
}

/* One millisecond of the loop thread's life. */
__attribute__((unused)) static void machine_tick(struct machine *m)
{
	event_base_loop(m->host.loop, EVLOOP_NONBLOCK);
	usleep(1000);
}

__attribute__((unused)) static size_t machine_printed(struct machine *m)
{
	off_t end = lseek(m->log, 0, SEEK_END);

	return end < 0 ? 0 : (size_t)end;
}

/* Waits until what the guest printed from byte `from` on contains text. */
__attribute__((unused)) static bool machine_says_after(struct machine *m, size_t from,
						       const char *text, int ms)
{
	double until = now_ms() + ms;

	for (;;) {
		size_t end = machine_printed(m), len = end > from ? end - from : 0;
		char *p = malloc(len + 1);
		ssize_t n = pread(m->log, p, len, (off_t)from);
		bool found = n > 0 && memmem(p, (size_t)n, text, strlen(text));

		free(p);
		if (found || now_ms() > until)
			return found;
		machine_tick(m);
	}
}

__attribute__((unused)) static bool machine_says(struct machine *m, const char *text, int ms)
{
	return machine_says_after(m, 0, text, ms);
}

/* Waits for the machine's end; false when it does not come. */
__attribute__((unused)) static bool machine_ends(struct machine *m, enum ending_kind kind, int ms)
{
	double until = now_ms() + ms;
	int endings;

	for (;;) {
		pthread_mutex_lock(&m->lock);
		endings = m->endings;
		pthread_mutex_unlock(&m->lock);
		if (endings || now_ms() > until)
			break;
		machine_tick(m);
	}
	if (!endings || m->ending.kind != kind) {
		printf("# endings %d, kind %d, why \"%s\"\n", endings, m->ending.kind,
		       m->ending.why);
		return false;
	}
	return true;
}

/* A file of that name is not enough. */
__attribute__((unused)) static bool have_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool have = fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	if (fd >= 0)
		close(fd);
	return have;
}

__attribute__((unused)) static void need_kvm(void)
{
	int fd;

	if (!have_kvm())
		skip_all("needs /dev/kvm");
	fd = open_guest("tiny.elf");
	if (fd < 0)
		skip_all("the tiny guest is not built (make build/tests/guest/tiny.elf)");
	close(fd);
}

#endif
