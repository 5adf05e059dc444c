/* A session's process, from the monitor's clone to execve: see enter.h. */
#include "backends/container/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/container/child.h"
#include "backends/container/door.h"
#include "backends/container/label.h"
#include "backends/engine.h"

/* What the door is told, and tells: it shares our memory. */
struct door {
	const struct plan *plan;
	int init;
	int socket; /* the process's end */
	int pidfd;
	pid_t pid;
	int errnum;
	const char *what; /* of errnum */
};

/* ---- the process ---- */

/* After the time namespace no memory may be shared, so that one waits until here. */
static void enter_rest(struct child *c, int init)
{
	if (((c->plan->namespaces | c->plan->joined_namespaces) & NS_TIME) &&
	    setns(init, CLONE_NEWTIME) < 0)
		child_fail(c, errno, "entering the time namespace", NULL);
	if (c->plan->namespaces & NS_MOUNT)
		return;
	if (fchdir(c->plan->place) < 0 || chroot(".") < 0)
		child_fail(c, errno, "root", NULL);
}

/*
 * They are his who will use them: /dev/stdout can be opened again. Of what is a path of the host's
 * the monitor's end is that of a pipe without another.
 */
static void make_pipes(struct child *c, int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			child_fail(c, errno, "stdin, stdout, stderr", NULL);
		if (fcntl(ends[i == 0], F_SETFL, O_NONBLOCK) < 0 ||
		    (c->plan->stdio[i] < 0 && dup2(ends[i != 0], i) < 0))
			child_fail(c, errno, "stdin, stdout, stderr", NULL);
		theirs[i] = ends[i == 0];
	}
}

static _Noreturn void session_main(const struct plan *plan, int socket, int init)
{
	struct child c = CHILD_NEW(plan, socket, plan->ruleset, HOLD_NONE);
	bool tty = plan->session->tty;
	int fds[REPORT_FDS];

	child_join_cgroups(&c);
	child_set_priorities(&c);
	if (plan->namespaces & NS_USER)
		child_become(&c, &(struct init_user){ 0 });
	/* Changing credentials has undone it, and what is here is the monitor's still. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	enter_rest(&c, init);
	child_take_streams(&c);
	child_close_descriptors(&c);
	child_set_rlimits(&c);
	setsid();
	if (tty) {
		child_open_console(&c, AT_FDCWD, "/dev/ptmx");
		child_take_console(&c);
		fds[0] = c.master;
		fds[1] = c.slave;
	}
	child_forget_monitor(&c);
	child_drop_privileges(&c);
	if (!tty) {
		make_pipes(&c, fds);
		child_take_console(&c);
	}
	child_enter_cwd(&c);
	fds[enter_fds(tty)] = c.listener;
	child_tell_ready(&c, fds, enter_fds(tty) + (c.listener >= 0));
	child_execute(&c);
}

/* ---- the door ---- */

static int door_fail(struct door *d, int errnum, const char *what)
{
	d->errnum = errnum;
	d->what = what;
	return 1;
}

static int door_main(void *arg)
{
	struct door *d = arg;
	const struct plan *p = d->plan;
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 (p->birth_group >= 0 ? CLONE_INTO_CGROUP : 0),
		.cgroup = p->birth_group >= 0 ? (uint64_t)p->birth_group : 0,
		.pidfd = (uint64_t)(uintptr_t)&d->pidfd,
	};
	uint64_t namespaces = (p->namespaces | p->joined_namespaces) & ~(uint64_t)NS_TIME;
	int flags = (int)plan_clone_flags(namespaces), r;
	const char *what;

	r = oom_score_set(p);
	if (r < 0)
		return door_fail(d, -r, "oom.score");
	r = label_set(p->config, &what);
	if (r < 0)
		return door_fail(d, -r, what);
	/* The process's memory will be a copy of this, and the container sees it from its birth. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (flags && setns(d->init, flags) < 0)
		return door_fail(d, errno, "entering the container");
	d->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (d->pid == 0)
		session_main(p, d->socket, d->init);
	return d->pid < 0 ? door_fail(d, errno, "starting a process in the container") : 0;
}

/* ---- the monitor ---- */

/* Returns when the door has closed behind the process. */
static int go_in(struct door *d, struct err *e)
{
	int r = door_open(door_main, d);

	if (r < 0)
		return err_sys(e, -r, "starting a process in the container");
	if (d->errnum == ESRCH)
		return err_set(e, -EBUSY, "init has ended");
	if (d->errnum)
		return err_sys(e, d->errnum, "%s", d->what);
	return d->pid > 0 ? 0 : err_set(e, -EIO, "entering the container: killed on the way");
}

int container_enter(const struct plan *p, int init, struct entered *ret, struct err *e)
{
	struct door d = { .plan = p, .init = init, .pidfd = -1 };
	int sockets[2], r;

	r = report_sockets(sockets, e);
	if (r < 0)
		return r;
	d.socket = sockets[1];
	r = go_in(&d, e);
	close(sockets[1]);
	if (r == 0 && fcntl(sockets[0], F_SETFL, O_NONBLOCK) < 0)
		r = err_sys(e, errno, "starting a process in the container");
	if (r == 0) {
		*ret = (struct entered){ d.pid, d.pidfd, sockets[0] };
		return 0;
	}
	close(sockets[0]);
	if (d.pidfd >= 0) {
		siginfo_t info;

		syscall(SYS_pidfd_send_signal, d.pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)d.pidfd, &info, WEXITED);
		close(d.pidfd);
	}
	return r;
}
