/*
 * The child's story, from its first instruction to execve. See child.h for what it may not do.
 *
 * The order matters: groups are joined before the cgroup namespace is made, so that the machine's
 * own group is its root; the maps come before anything is touched as root; mounts and the pty
 * need privileges that go next; the filter is last, since it refuses half of what is done here.
 */
#include "backends/container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/label.h"
#include "backends/container/landlock.h"
#include "backends/container/launch.h"
#include "backends/container/mounts.h"

static void set_label(struct child *c)
{
	const char *what;
	int r = label_set(c->plan->config, &what);

	if (r < 0)
		child_fail(c, -r, what, NULL);
}

/* One that was born by a door has it from there. */
static void set_oom_score(struct child *c)
{
	int r = c->plan->join_user >= 0 ? 0 : oom_score_set(c->plan);

	if (r < 0)
		child_fail(c, -r, "oom.score", NULL);
}

/* The host's /proc still: each entry is that of the namespace we are in. */
static void write_sysctls(struct child *c)
{
	for (char *const *s = c->plan->sysctls; *s; s += 2) {
		int fd = open(s[0], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			child_fail(c, errno, "sysctl: ", s[0] + strlen("/proc/sys/"));
		child_write(c, fd, s[1], "sysctl");
		close(fd);
	}
}

static void join_namespaces(struct child *c)
{
	static const struct {
		const char *word;
		int flag;
	} kinds[PLAN_JOINS] = { { "net", CLONE_NEWNET },
				{ "ipc", CLONE_NEWIPC },
				{ "uts", CLONE_NEWUTS },
				{ "cgroup", CLONE_NEWCGROUP },
				{ "time", CLONE_NEWTIME } };

	if (c->plan->stock.net >= 0 && setns(c->plan->stock.net, CLONE_NEWNET) < 0)
		child_fail(c, errno, "namespaces: net", NULL);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (c->plan->join[i] < 0 || setns(c->plan->join[i], kinds[i].flag) == 0)
			continue;
		if (errno == EINVAL)
			child_refuse(c, EINVAL, "namespaces.join: not a namespace of its kind: ",
				     kinds[i].word);
		child_fail(c, errno, "namespaces.join: ", kinds[i].word);
	}
}

/*
 * The parent says when maps and interfaces are there; if it died instead, there is nothing to live
 * for.
 */
static void await_parent(struct child *c)
{
	char go;

	if (c->plan->waits && recv(c->socket, &go, 1, 0) != 1)
		_exit(1);
	if (c->plan->namespaces & NS_USER)
		child_become(c, &(struct init_user){ 0 });
}

static void enter_root(struct child *c)
{
	int flags = (c->plan->namespaces & NS_MOUNT ? CLONE_NEWNS : 0) |
		    (c->plan->namespaces & NS_CGROUP ? CLONE_NEWCGROUP : 0);

	/*
	 * A descriptor names a mount of the namespace it was opened in, which is of no use in
	 * another; but the working directory moves along into a new one.
	 */
	if (fchdir(c->plan->place) < 0)
		child_fail(c, errno, "root", NULL);
	child_take_streams(c);
	child_close_descriptors(c);
	if (flags && syscall(SYS_unshare, flags) < 0)
		child_fail(c, errno, "namespaces: mount, cgroup", NULL);
}

static void set_up_namespaces(struct child *c)
{
	const char *name = c->plan->hostname;

	if ((c->plan->namespaces & NS_UTS) && sethostname(name, strlen(name)) < 0)
		child_fail(c, errno, "hostname", NULL);
	if ((c->plan->namespaces & NS_NET) && c->plan->stock.net < 0 && loopback_raise() < 0)
		child_fail(c, errno, "bringing up the loopback interface", NULL);
	write_sysctls(c);
}

/* Until the monitor says how far to go; the end of the socket is the monitor's. */
static void hold(struct child *c, enum engine_hold here)
{
	const struct child_report held = { .held = true };
	char next;

	if (c->hold != here)
		return;
	if (!report_send(c->socket, &held, NULL, 0) || recv(c->socket, &next, 1, 0) != 1)
		_exit(1);
	c->hold = (enum engine_hold)next;
}

_Noreturn void child_main(const struct plan *plan, int socket)
{
	struct child c = CHILD_NEW(plan, socket, -1, plan->hold);
	int fds[REPORT_FDS], nfds = 0;

	child_join_cgroups(&c);
	set_oom_score(&c);
	child_set_priorities(&c);
	set_label(&c);
	await_parent(&c);
	join_namespaces(&c);
	/* Our binary and memory are nobody's in the container: CVE-2016-9962, CVE-2019-5736. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	enter_root(&c);
	child_set_rlimits(&c);
	setsid();
	set_up_namespaces(&c);
	if (plan->namespaces & NS_MOUNT)
		mounts_build(&c);
	hold(&c, HOLD_OUTSIDE);
	if (plan->namespaces & NS_MOUNT)
		mounts_enter(&c);
	else
		mounts_chroot(&c);
	landlock_make(&c);
	child_take_console(&c);
	child_forget_monitor(&c);
	child_drop_privileges(&c);
	child_enter_cwd(&c);
	fds[nfds++] = c.master;
	fds[nfds++] = c.slave;
	if (c.ruleset >= 0)
		fds[nfds++] = c.ruleset;
	if (c.listener >= 0)
		fds[nfds++] = c.listener;
	child_tell_ready(&c, fds, nfds);
	hold(&c, HOLD_INSIDE);
	/* What was opened since child_close_descriptors() is O_CLOEXEC: socket, console, mounts,
	 * rules. */
	child_execute(&c);
}
