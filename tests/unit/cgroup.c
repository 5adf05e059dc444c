/*
 * Control groups on this host's own hierarchies: what is written is read back from the kernel's
 * files, and processes are frozen, killed and counted for real. The same is run a second time on
 * the v2 hierarchy alone, where the host is a hybrid.
 */
#include "backends/cgroup/cgroup_priv.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two runs of the test at once must not meet in one group: main() adds the pid. */
static char parent[32];

static struct text t = TEXT_INIT;

/* The text of a file in the group's directory for need; "" if there is none. */
static const char *value(struct cgroup *g, enum cgroup_need need, const char *file)
{
	bool v2;

	text_clear(&t);
	cgroup_read_file(cgroup_dir(g, need, &v2), file, &t);
	return text_str(&t);
}

static const char *figure(struct cgroup *g, enum cgroup_file file)
{
	struct err e = { 0 };

	text_clear(&t);
	if (cgroup_read(g, file, &t, &e) < 0)
		text_add(&t, e.text);
	return text_str(&t);
}

static bool join(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (pwrite(fds[i], "0", 1, 0) != 1)
			return false;
	return true;
}

/* A child in the group that runs body until it is killed. */
static pid_t spawn(struct cgroup *g, void (*body)(void))
{
	int fds[NEED_COUNT], n = cgroup_open_procs(g, fds, NEED_COUNT, NULL);
	pid_t pid = fork();

	if (pid == 0) {
		if (!join(fds, n))
			_exit(99);
		body();
		_exit(0);
	}
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return pid;
}

#define PATIENCE 20 /* seconds */

static void settle(void)
{
	usleep(30000);
}

static volatile unsigned long *counter; // shared with the child that counts

static void count_up(void)
{
	static char touched[1 << 20]; // so that memory is charged to the group

	memset(touched, 1, sizeof(touched));
	for (;;)
		(*counter)++;
}

static void sleep_on(void)
{
	for (;;)
		pause();
}

static void bomb(void)
{
	for (;;)
		fork();
}

/* Ends when nothing of the group is left, or after two seconds. */
static bool removed(struct cgroup_host *h, const char *name)
{
	for (int i = 0; i < 400; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (cgroup_remove(h, name, NULL) == 0)
			return true;
		usleep(5000);
	}
	return false;
}

enum limit { CPU_WEIGHT, MEMORY_MAX, PIDS_MAX };

/* A container's settings as a new group has them. */
static struct machine_config defaults(void)
{
	return (struct machine_config){
		.kind = KIND_CONTAINER,
		.cpu_weight = 100,
		.cpu_count = LIMIT_MAX,
		.cpu_max = { LIMIT_MAX, 100000 },
		.memory_size = LIMIT_MAX,
		.pids_max = LIMIT_MAX,
		.container = { .memory_high = LIMIT_MAX,
			       .memory_swap_max = LIMIT_MAX,
			       .io_weight = 100 },
	};
}

/* One setting, from what it is not to what it shall be. */
static int set(struct cgroup *g, enum limit limit, uint64_t value, struct err *e)
{
	struct machine_config c = defaults(), old = defaults();
	uint64_t *now[] = { &c.cpu_weight, &c.memory_size, &c.pids_max };
	uint64_t *before[] = { &old.cpu_weight, &old.memory_size, &old.pids_max };

	*now[limit] = value;
	*before[limit] = value - 1;
	return cgroup_limit(g, &c, &old, e);
}

static int set_cpu_max(struct cgroup *g, struct cpu_max max, struct err *e)
{
	struct machine_config c = defaults(), old = defaults();

	c.cpu_max = max;
	old.cpu_max = (struct cpu_max){ 12345, 54321 };
	return cgroup_limit(g, &c, &old, e);
}

static void test_limits(struct cgroup_host *h)
{
	struct cgroup *g = NULL;
	struct err e = { 0 };
	bool v2 = false;

	ok(cgroup_new(h, "limits", &g, &e) == 0, "group made %s", e.text);
	if (cgroup_dir(g, NEED_CPU, &v2) >= 0) {
		ok(set(g, CPU_WEIGHT, 50, &e) == 0 &&
			   !strcmp(value(g, NEED_CPU, v2 ? "cpu.weight" : "cpu.shares"),
				   v2 ? "50\n" : "512\n"),
		   "cpu.weight 50 %s", e.text);
		ok(set(g, CPU_WEIGHT, 100, &e) == 0 &&
			   !strcmp(value(g, NEED_CPU, v2 ? "cpu.weight" : "cpu.shares"),
				   v2 ? "100\n" : "1024\n"),
		   "and back to the default");
		ok(set_cpu_max(g, (struct cpu_max){ 20000, 50000 }, &e) == 0 &&
			   !strcmp(value(g, NEED_CPU, v2 ? "cpu.max" : "cpu.cfs_quota_us"),
				   v2 ? "20000 50000\n" : "20000\n"),
		   "cpu.max 20000 50000 %s", e.text);
		ok(set_cpu_max(g, (struct cpu_max){ LIMIT_MAX, 100000 }, &e) == 0 &&
			   !strcmp(value(g, NEED_CPU, v2 ? "cpu.max" : "cpu.cfs_quota_us"),
				   v2 ? "max 100000\n" : "-1\n"),
		   "cpu.max max");
	} else {
		ok(set(g, CPU_WEIGHT, 100, &e) == 0, "default weight without cpu");
		ok(set(g, CPU_WEIGHT, 50, &e) == -ENXIO, "refused: %s", e.text);
	}
	if (cgroup_dir(g, NEED_MEMORY, &v2) >= 0) {
		ok(set(g, MEMORY_MAX, 64 << 20, &e) == 0 &&
			   !strcmp(value(g, NEED_MEMORY,
					 v2 ? "memory.max" : "memory.limit_in_bytes"),
				   "67108864\n"),
		   "memory.size 64M");
		ok(set(g, MEMORY_MAX, LIMIT_MAX, &e) == 0 &&
			   strlen(value(g, NEED_MEMORY,
					v2 ? "memory.max" : "memory.limit_in_bytes")) != 9,
		   "memory.size max");
	} else {
		ok(set(g, MEMORY_MAX, LIMIT_MAX, &e) == 0, "max without memory");
		ok(set(g, MEMORY_MAX, 1 << 20, &e) == -ENXIO, "refused: %s", e.text);
	}
	if (cgroup_dir(g, NEED_PIDS, &v2) >= 0)
		ok(set(g, PIDS_MAX, 7, &e) == 0 &&
			   !strcmp(value(g, NEED_PIDS, "pids.max"), "7\n") &&
			   set(g, PIDS_MAX, LIMIT_MAX, &e) == 0 &&
			   !strcmp(value(g, NEED_PIDS, "pids.max"), "max\n"),
		   "pids.max 7, then max");
	cgroup_free(g);
	ok(cgroup_remove(h, "limits", &e) == 0 && cgroup_open(h, "limits", &g, &e) == -ENOENT,
	   "removed: %s", e.text);
	ok(cgroup_remove(h, "limits", &e) == 0, "removing what is gone is fine");
}

/* Waits until the counter is above `before`: on a slow machine that takes its time. */
static bool counts(unsigned long before)
{
	time_t end = time(NULL) + PATIENCE;

	while (*counter <= before && time(NULL) < end)
		usleep(1000);
	return *counter > before;
}

/* Likewise until the first number in the file is above `least`; of cpu.stat that is the usage. */
static bool grows_above(struct cgroup *g, enum cgroup_file file, unsigned long least)
{
	time_t end = time(NULL) + PATIENCE;
	unsigned long n;

	do {
		const char *text = figure(g, file);

		n = strtoul(text + strcspn(text, "0123456789"), NULL, 10);
	} while (n <= least && time(NULL) < end && usleep(1000) == 0);
	return n > least;
}

static void test_figures(struct cgroup_host *h)
{
	struct cgroup *g = NULL, *again = NULL;
	struct err e = { 0 };
	bool v2;
	pid_t pid;

	cgroup_new(h, "figures", &g, &e);
	pid = spawn(g, count_up);
	ok(cgroup_open(h, "figures", &again, &e) == 0, "opened again");
	ok(grows_above(again, CGROUP_CPU_STAT, 20000) && !strncmp(t.data, "usage_usec ", 11) &&
		   strstr(t.data, "user_usec ") && strstr(t.data, "system_usec "),
	   "cpu.stat grows");
	if (cgroup_dir(g, NEED_MEMORY, &v2) >= 0) {
		ok(grows_above(g, CGROUP_MEMORY_CURRENT, 0), "memory.current");
		ok(strstr(figure(g, CGROUP_MEMORY_STAT), "anon ") && strstr(t.data, "\nfile ") &&
			   strstr(t.data, "\nkernel ") && strstr(t.data, "\npgfault "),
		   "memory.stat has v2's names");
	}
	if (cgroup_dir(g, NEED_PIDS, &v2) >= 0)
		ok(!strcmp(figure(g, CGROUP_PIDS_CURRENT), "1\n"), "pids.current is 1");
	cgroup_dir(g, NEED_CPUACCT, &v2);
	if (!v2)
		ok(cgroup_read(g, CGROUP_CPU_PRESSURE, &t, &e) == -ENXIO, "v1: %s", e.text);
	ok(cgroup_remove(h, "figures", &e) == -EBUSY, "busy: %s", e.text);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cgroup_free(again);
	cgroup_free(g);
	ok(removed(h, "figures"), "removed when empty");
}

static void test_freezer(struct cgroup_host *h)
{
	struct cgroup *g = NULL;
	struct err e = { 0 };
	int freezer = -1, frozen = -1, status;
	unsigned long before;
	pid_t pid;

	cgroup_new(h, "freezer", &g, &e);
	ok(cgroup_open_freezer(g, &freezer, &frozen, &e) == 0, "freezer opened %s", e.text);
	*counter = 0;
	pid = spawn(g, count_up);
	ok(counts(0), "a counter counts");
	ok(freezer_set(freezer, frozen, true, &e) == 0, "frozen %s", e.text);
	before = *counter;
	settle();
	ok(*counter == before, "the counter stands still");
	ok(freezer_set(freezer, frozen, false, &e) == 0, "thawed");
	ok(counts(before), "the counter goes on");
	freezer_set(freezer, frozen, true, &e);
	ok(cgroup_kill(g, &e) == 0, "killed while frozen %s", e.text);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	   "it is dead");
	close(freezer);
	if (frozen >= 0)
		close(frozen);
	cgroup_free(g);
	ok(removed(h, "freezer"), "removed");
}

/* How a child that is born into the group ends that would exit with 7. */
static int born_into(const struct cgroup *g)
{
	int dir = cgroup_open_v2(g), status = -1;
	struct clone_args args = {
		.flags = dir < 0 ? 0 : CLONE_INTO_CGROUP,
		.cgroup = (uint64_t)(dir < 0 ? 0 : dir),
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(7);
	waitpid(pid, &status, 0);
	if (dir >= 0)
		close(dir);
	return status;
}

/* What an earlier run left: frozen, with a process, and killed once. */
static void test_left(struct cgroup_host *h)
{
	int freezer = -1, frozen = -1, status = 0;
	struct cgroup *g = NULL;
	struct err e = { 0 };
	pid_t pid;

	cgroup_new(h, "left", &g, &e);
	cgroup_open_freezer(g, &freezer, &frozen, &e);
	*counter = 0;
	pid = spawn(g, count_up);
	ok(counts(0), "a process of an earlier run");
	freezer_set(freezer, frozen, true, &e);
	close(freezer);
	if (frozen >= 0)
		close(frozen);
	cgroup_free(g);
	g = NULL;
	signal(SIGCHLD, SIG_IGN); /* nobody waits for what is killed */
	ok(cgroup_new(h, "left", &g, &e) == 0, "its group is made anew %s", e.text);
	signal(SIGCHLD, SIG_DFL);
	ok(kill(pid, 0) < 0, "the process is dead");
	*counter = 0;
	pid = spawn(g, count_up);
	ok(counts(0), "another joins");
	cgroup_kill(g, &e);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "and is killed");
	cgroup_free(g);
	g = NULL;
	ok(cgroup_new(h, "left", &g, &e) == 0, "made anew once more %s", e.text);
	status = born_into(g);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "who is born there lives: %#x", status);
	cgroup_free(g);
	ok(removed(h, "left"), "removed");
}

static void test_kill_bomb(struct cgroup_host *h)
{
	struct cgroup *g = NULL;
	struct err e = { 0 };
	bool v2 = false;
	int dir, inner;

	cgroup_new(h, "bomb", &g, &e);
	if (set(g, PIDS_MAX, 60, &e) < 0) {
		cgroup_free(g);
		cgroup_remove(h, "bomb", &e);
		return;
	}
	spawn(g, bomb);
	ok(grows_above(g, CGROUP_PIDS_CURRENT, 20), "a fork bomb");
	ok(cgroup_kill(g, &e) == 0 && removed(h, "bomb"), "is killed and its group removed");
	cgroup_free(g);

	cgroup_new(h, "nested", &g, &e);
	for (int i = 0; i < h->n; i++)
		mkdirat(g->dir[i], "inner", 0755);
	dir = cgroup_dir(g, NEED_FREEZER, &v2);
	if (!v2) {
		pid_t pid = spawn(g, sleep_on);
		char text[16];

		settle();
		snprintf(text, sizeof(text), "%d", pid);
		inner = openat(dir, "inner", O_RDONLY | O_CLOEXEC);
		ok(cgroup_write_file(inner, "cgroup.procs", text) == 0,
		   "a process in a group below");
		ok(cgroup_kill(g, &e) == 0 && waitpid(pid, NULL, 0) == pid, "is killed too");
		close(inner);
	}
	cgroup_free(g);
	ok(removed(h, "nested"), "groups below are removed");
}

/* Exit status says what a process in the group may do: bit 0 null, 1 loop0, 2 mem, 3 mknod. */
static void try_devices(void)
{
	char dir[] = "/tmp/cgroup-test-XXXXXX", path[64];
	int got = 0;

	if (!mkdtemp(dir))
		_exit(98);
	snprintf(path, sizeof(path), "%s/node", dir);
	got |= open("/dev/null", O_RDWR) >= 0 ? 1 : 0;
	/* 241 is in a range for local use: allowed, the answer is ENXIO; else EPERM. */
	if (mknod(path, S_IFBLK | 0600, makedev(241, 0)) == 0) {
		got |= 8;
		got |= open(path, O_RDONLY) >= 0 || errno != EPERM ? 2 : 0;
		unlink(path);
	}
	if (mknod(path, S_IFCHR | 0600, makedev(1, 1)) == 0)
		got |= open(path, O_RDONLY) >= 0 || errno != EPERM ? 4 : 0;
	unlink(path);
	rmdir(dir);
	_exit(got);
}

static void test_devices(struct cgroup_host *h)
{
	struct cgroup *g = NULL;
	struct err e = { 0 };
	int status = 0;

	cgroup_new(h, "devices", &g, &e);
	waitpid(spawn(g, try_devices), &status, 0);
	ok(WEXITSTATUS(status) == 15, "free to use devices at first: %d", WEXITSTATUS(status));
	if (ok(cgroup_restrict_devices(g, &e) == 0, "restricted %s", e.text)) {
		waitpid(spawn(g, try_devices), &status, 0);
		ok(WEXITSTATUS(status) == 9, "then only null is left, and mknod: %d",
		   WEXITSTATUS(status));
	}
	cgroup_free(g);
	ok(removed(h, "devices"), "removed");
}

static void test_leaks(struct cgroup_host *h)
{
	struct cgroup *g;
	int before = tap_descriptors(), fds[NEED_COUNT], n;

	for (int i = 0; i < 20; i++) {
		cgroup_new(h, "leak", &g, NULL);
		n = cgroup_open_procs(g, fds, NEED_COUNT, NULL);
		while (n-- > 0)
			close(fds[n]);
		set(g, PIDS_MAX, 5, NULL);
		cgroup_kill(g, NULL);
		cgroup_free(g);
		cgroup_remove(h, "leak", NULL);
	}
	ok(tap_descriptors() == before, "no descriptors leak");
}

static void remove_parents(struct cgroup_host *h)
{
	char path[64], name[256];

	for (int i = 0; i < h->n; i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", h->hier[i].parent);
		n = readlink(path, name, sizeof(name) - 1);
		if (n > 0) {
			name[n] = '\0';
			ok(rmdir(name) == 0, "nothing is left in %s", name);
		}
	}
}

static void test_host(struct cgroup_host *h, const char *what)
{
	printf("# %s\n", what);
	for (int i = 0; i < h->n; i++)
		printf("# hierarchy %d: version %d needs %#x\n", i, h->hier[i].v2 ? 2 : 1,
		       h->hier[i].needs);
	test_limits(h);
	test_figures(h);
	test_freezer(h);
	test_left(h);
	test_kill_bomb(h);
	test_devices(h);
	test_leaks(h);
	remove_parents(h);
	cgroup_host_free(h);
}

static void test_refusals(void)
{
	struct cgroup_host *h = NULL;
	struct err e = { 0 };

	ok(cgroup_host_parse("", "", parent, &h, &e) == -ENXIO && !h, "no mounts: %s", e.text);
	ok(cgroup_host_parse("1 2 0:1 / /nowhere\\040x rw - cgroup2 cgroup2 rw\n", "0::/\n", parent,
			     &h, &e) == -ENXIO &&
		   strstr(e.text, "/nowhere x"),
	   "a mount that is gone: %s", e.text);
	ok(cgroup_host_parse("1\n- \n - cgroup\n1 2 3 - cgroup2 a b\n - cgroup2 x y\n",
			     "::\n:\n0:", parent, &h, &e) == -ENXIO,
	   "garbage: %s", e.text);
}

/* This host's mounts of one version alone, so that a hybrid shows both. */
static struct cgroup_host *one_version(const char *mark)
{
	struct text info = TEXT_INIT, self = TEXT_INIT, one = TEXT_INIT;
	struct cgroup_host *h = NULL;
	struct err e = { 0 };
	char *save = NULL;

	cgroup_read_file(AT_FDCWD, "/proc/self/mountinfo", &info);
	cgroup_read_file(AT_FDCWD, "/proc/self/cgroup", &self);
	for (char *l = strtok_r(info.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strstr(l, mark))
			text_addf(&one, "%s\n", l);
	if (one.len && cgroup_host_parse(one.data, text_str(&self), parent, &h, &e) < 0)
		printf("# %s: %s\n", mark, e.text);
	text_free(&info);
	text_free(&self);
	text_free(&one);
	return h;
}

int main(void)
{
	struct cgroup_host *h = NULL;
	struct err e = { 0 };
	int fds = tap_descriptors();
	bool hybrid;

	if (geteuid() != 0)
		skip_all("needs root");
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(parent, sizeof(parent), "machinefs-test-%d", (int)getpid());
	if (cgroup_host_new(parent, &h, &e) < 0)
		skip_all(e.text);
	test_refusals();
	hybrid = h->n > 1;
	test_host(h, "this host");
	h = hybrid ? one_version(" - cgroup2 ") : NULL;
	if (h)
		test_host(h, "version 2 alone");
	h = hybrid ? one_version(" - cgroup ") : NULL;
	if (h)
		test_host(h, "version 1 alone");
	text_free(&t);
	ok(tap_descriptors() == fds, "all is closed");
	return tap_done();
}
