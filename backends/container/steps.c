/*
 * Steps that every process of a container goes through on its way to execve, whether it is the
 * first one (child.c) or a session's (enter.c). See child.h for what they may not do.
 */
#include "backends/container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "backends/container/device_part.h"
#include "backends/container/devfs.h"
#include "backends/container/mount_part.h"

void child_append(char *out, size_t size, const char *s)
{
	size_t at = strnlen(out, size - 1);

	while (at < size - 1 && s && *s)
		out[at++] = *s++;
	out[at] = '\0';
}

static _Noreturn void report_failure(struct child *c, int errnum, bool whole, const char *what,
				     const char *detail)
{
	struct child_report report = { .errnum = errnum ? errnum : EIO, .whole = whole };

	child_append(report.text, sizeof(report.text), what);
	child_append(report.text, sizeof(report.text), detail);
	report_send(c->socket, &report, NULL, 0);
	_exit(1);
}

_Noreturn void child_fail(struct child *c, int errnum, const char *what, const char *detail)
{
	report_failure(c, errnum, false, what, detail);
}

_Noreturn void child_refuse(struct child *c, int errnum, const char *what, const char *detail)
{
	report_failure(c, errnum, true, what, detail);
}

void child_write(struct child *c, int fd, const char *text, const char *what)
{
	if (write(fd, text, strlen(text)) < 0)
		child_fail(c, errno, what, NULL);
}

void child_join_cgroups(struct child *c)
{
	for (int i = 0; i < c->plan->cgroup_count; i++)
		if (i != c->plan->joined)
			child_write(c, c->plan->cgroups[i], "0", "joining the control group");
}

/* The lower of best and fd, unless that is below from, or none. */
static unsigned int lower(unsigned int best, unsigned int from, int fd)
{
	return fd >= 0 && (unsigned int)fd >= from && (unsigned int)fd < best ? (unsigned int)fd
									      : best;
}

/* The lowest that is to stay and is not below from; ~0u: there is none. */
static unsigned int next_kept(const struct child *c, unsigned int from)
{
	const struct stock *s = &c->plan->stock;
	const struct devfs *d = &s->dev;
	const int fds[] = { c->socket, c->ruleset, d->dev,   d->pts,
			    d->shm,    d->master,  d->slave, s->sys };
	unsigned int best = ~0u;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		best = lower(best, from, fds[i]);
	for (size_t i = 0; i < c->plan->nmounts; i++)
		best = lower(best, from, c->plan->mounts[i].mnt);
	for (size_t i = 0; c->plan->devices && i < c->plan->devices->n; i++)
		best = lower(best, from, c->plan->devices->list[i].mnt);
	return best;
}

void child_close_descriptors(struct child *c)
{
	unsigned int from = 3, kept;

	do {
		kept = next_kept(c, from);
		if (kept > from &&
		    syscall(SYS_close_range, from, kept == ~0u ? kept : kept - 1, 0) < 0)
			child_fail(c, errno, "closing descriptors", NULL);
		from = kept + 1;
	} while (kept != ~0u);
}

void child_open_console(struct child *c, int dir, const char *ptmx)
{
	int r = devfs_open_console(dir, ptmx, &c->master, &c->slave);

	if (r < 0 && errno == EINVAL)
		child_refuse(c, EINVAL, "console: no pty multiplexer: ", ptmx);
	if (r < 0)
		child_fail(c, errno, "console: no pty", NULL);
	child_own_console(c);
}

void child_own_console(struct child *c)
{
	if (fchown(c->slave, c->plan->user.uid, (gid_t)-1) < 0)
		child_fail(c, errno, c->plan->names->user, ": console");
}

void child_take_streams(struct child *c)
{
	for (int fd = 0; fd < 3; fd++)
		if (c->plan->stdio[fd] >= 0 && dup2(c->plan->stdio[fd], fd) < 0)
			child_fail(c, errno, c->plan->names->stdio[fd], NULL);
}

void child_take_console(struct child *c)
{
	const int *given = c->plan->stdio;
	int terminal = c->slave;
	struct termios t;

	for (int fd = 0; fd < 3 && c->slave >= 0; fd++)
		if (given[fd] < 0 && dup2(c->slave, fd) < 0)
			child_fail(c, errno, "console", NULL);
	if (given[0] >= 0 && tcgetattr(0, &t) == 0)
		terminal = 0;
	else if (given[0] >= 0 && given[1] >= 0 && given[2] >= 0)
		return;
	/* One of the host's may be another session's, which is then not robbed of it. */
	if (terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) < 0 && terminal == c->slave)
		child_fail(c, errno, "console: controlling terminal", NULL);
}

void child_forget_monitor(struct child *c)
{
	/* Handlers have been left behind by CLONE_CLEAR_SIGHAND; what was ignored was not. */
	if (c->plan->own_process)
		signal(SIGPIPE, SIG_DFL);
	else
		signals_unignore();
	umask((mode_t)c->plan->config->umask);
	/* ENOSYS: a kernel without keys has none to inherit. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		child_fail(c, errno, "making a session keyring", NULL);
}

void child_enter_cwd(struct child *c)
{
	const char *cwd = c->plan->cwd;
	char what[64] = "";

	if (chdir(cwd && cwd[0] ? cwd : "/") == 0)
		return;
	child_append(what, sizeof(what), c->plan->names->cwd);
	child_append(what, sizeof(what), ": ");
	child_fail(c, errno, what, cwd);
}

void child_tell_ready(struct child *c, const int *fds, int count)
{
	struct child_report report = { 0 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		child_fail(c, errno, "parent death signal", NULL);
	if (!report_send(c->socket, &report, fds, count))
		_exit(1);
}
