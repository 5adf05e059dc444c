/*
 * The processes of a control group as a whole: freezing, thawing, killing. See cgroup.h.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FREEZE_WAIT_MS 1000
#define DEPTH_MAX      16
/* Rounds of killing without a freezer: each one catches what was forked during the last. */
#define KILL_ROUNDS_MAX 1000

int cgroup_open_freezer(struct cgroup *g, int *ret_freezer, int *ret_frozen, struct err *e)
{
	bool v2 = false;
	int dir = cgroup_dir(g, NEED_FREEZER, &v2), frozen = -1, freezer, r;

	if (dir < 0)
		return err_set(e, -ENXIO, "this host's control groups have no freezer");
	freezer = openat(dir, v2 ? "cgroup.freeze" : "freezer.state", O_RDWR | O_CLOEXEC);
	if (freezer < 0)
		return err_sys(e, errno, "freezer of a control group");
	if (v2) {
		frozen = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
		if (frozen < 0) {
			r = err_sys(e, errno, "cgroup.events");
			close(freezer);
			return r;
		}
	}
	*ret_freezer = freezer;
	*ret_frozen = frozen;
	return 0;
}

static int write_word(int fd, const char *word)
{
	ssize_t n;

	do
		n = pwrite(fd, word, strlen(word), 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* True when the text of fd (at most a line or three) holds word. */
static bool file_has(int fd, const char *word)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, word) != NULL;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * v1 has no event for it: one asks again, and asks for freezing again too, since a task that
 * was forked meanwhile may have been missed.
 */
static bool wait_frozen(int freezer, int frozen)
{
	int64_t end = now_ms() + FREEZE_WAIT_MS;

	while (!file_has(frozen >= 0 ? frozen : freezer, frozen >= 0 ? "frozen 1" : "FROZEN")) {
		struct pollfd p = { .fd = frozen, .events = POLLPRI };

		if (now_ms() >= end)
			return false;
		poll(&p, 1, frozen >= 0 ? 10 : 1);
		if (frozen < 0)
			write_word(freezer, "FROZEN");
	}
	return true;
}

int freezer_set(int freezer, int frozen, bool freeze, struct err *e)
{
	bool v2 = frozen >= 0;
	const char *thaw = v2 ? "0" : "THAWED";
	int r = write_word(freezer, !freeze ? thaw : v2 ? "1" : "FROZEN");

	if (r < 0)
		return err_sys(e, -r, "freezer");
	if (!freeze || wait_frozen(freezer, frozen))
		return 0;
	write_word(freezer, thaw);
	return err_set(e, -EIO, "a process could not be frozen within %d ms", FREEZE_WAIT_MS);
}

/* Pids that were signalled already, to see when a round finds no new one. */
struct pid_set {
	pid_t *pids;
	size_t n, cap;
};

/* True when pid is new (or when memory fails: then a round too many is made). */
static bool pid_set_add(struct pid_set *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->pids[i] == pid)
			return false;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		pid_t *pids = realloc(s->pids, cap * sizeof(*pids));

		if (!pids)
			return true;
		s->pids = pids;
		s->cap = cap;
	}
	s->pids[s->n++] = pid;
	return true;
}

/* SIGKILLs what the list holds; returns how many were new. */
static int kill_list(const char *list, struct pid_set *seen)
{
	int found = 0;

	while (*list) {
		char *end;
		long pid = strtol(list, &end, 10);

		if (end == list)
			break;
		/* 0 is a process that this pid namespace cannot name: not ours to kill. */
		if (pid > 0 && pid != getpid()) {
			found += pid_set_add(seen, (pid_t)pid);
			kill((pid_t)pid, SIGKILL);
		}
		list = end + strspn(end, "\n");
	}
	return found;
}

/* Kills in dir, which stays the caller's, and in the groups below it. */
static int kill_tree(int dir, int depth, struct pid_set *seen)
{
	struct text list = TEXT_INIT;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found;
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;

	cgroup_read_file(dir, "cgroup.procs", &list);
	found = kill_list(text_str(&list), seen);
	text_free(&list);
	while (d && depth < DEPTH_MAX && (entry = readdir(d))) {
		int sub;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		sub = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0)
			continue;
		found += kill_tree(sub, depth + 1, seen);
		close(sub);
	}
	if (d)
		closedir(d);
	else if (copy >= 0)
		close(copy);
	return found;
}

/* What is frozen cannot fork, so one round finds all; thawed, the signals take effect. */
static int kill_by_lists(struct cgroup *g, struct err *e)
{
	int freezer = -1, frozen = -1, rounds = 0, found;
	struct pid_set seen = { 0 };
	bool v2 = false;
	int dir = cgroup_dir(g, NEED_FREEZER, &v2);

	if (dir < 0)
		dir = g->dir[0];
	if (cgroup_open_freezer(g, &freezer, &frozen, NULL) == 0)
		freezer_set(freezer, frozen, true, NULL);
	do
		found = kill_tree(dir, 0, &seen);
	while (found > 0 && ++rounds < KILL_ROUNDS_MAX);
	if (freezer >= 0) {
		freezer_set(freezer, frozen, false, NULL);
		close(freezer);
	}
	if (frozen >= 0)
		close(frozen);
	free(seen.pids);
	return found > 0 ? err_set(e, -EIO, "processes fork faster than they can be killed") : 0;
}

int cgroup_kill_listed(int procs, int freezer, int frozen, struct err *e)
{
	int64_t end = now_ms() + FREEZE_WAIT_MS;

	for (;;) {
		struct pid_set seen = { 0 };
		struct text list = TEXT_INIT;
		int found;

		/* Frozen it cannot fork away while the list is read. */
		if (freezer >= 0)
			freezer_set(freezer, frozen, true, NULL);
		if (lseek(procs, 0, SEEK_SET) == 0)
			text_read_fd(&list, procs);
		found = kill_list(text_str(&list), &seen);
		if (freezer >= 0)
			freezer_set(freezer, frozen, false, NULL);
		free(seen.pids);
		text_free(&list);
		if (!found)
			return 0;
		if (now_ms() >= end)
			return err_set(e, -EIO, "%d processes do not die", found);
		usleep(1000);
	}
}

int cgroup_kill(struct cgroup *g, struct err *e)
{
	bool v2 = false;
	int dir = cgroup_dir(g, NEED_FREEZER, &v2);

	/* One atomic write where there is v2 and Linux 5.14. */
	if (dir >= 0 && v2 && cgroup_write_file(dir, "cgroup.kill", "1") == 0)
		return 0;
	return kill_by_lists(g, e);
}
