/* Cloning a container's first process: see launch.h; the child's side is child.c. */
#include "backends/container/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/container/child.h"
#include "backends/container/door.h"
#include "backends/container/root.h"
#include "backends/host/clone_vfork.h"

/* Where others see init before it has gone on, they can stop it; so long it is waited for. */
#define HELD_UP_SECONDS 10

static int join_failed(const char *word, int errnum, struct err *e)
{
	if (errnum == EINVAL)
		return err_set(e, -EINVAL, "namespaces.join: not a %s namespace below this one: %s",
			       word, word);
	return err_sys(e, errnum, "namespaces.join: %s", word);
}

/*
 * Nobody moves to another pid namespace, he can only be born there (setns(2)): for a moment that is
 * where this thread's children are.
 */
static int leave_home(const struct plan *p, int socket, int *ret_home, struct err *e)
{
	struct timeval patience = { .tv_sec = HELD_UP_SECONDS };

	if (p->join_pids < 0)
		return 0;
	if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(e, errno, "namespaces.join: pid");
	if (p->join_user >= 0) // whose door leads there, too
		return 0;
	*ret_home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (*ret_home < 0 || setns(p->join_pids, CLONE_NEWPID) < 0)
		return join_failed("pid", errno, e);
	return 0;
}

static int come_home(int home, struct err *e)
{
	int r = 0;

	if (home < 0)
		return 0;
	if (setns(home, CLONE_NEWPID) < 0)
		r = err_sys(e, errno, "namespaces.join: pid: coming back");
	close(home);
	return r;
}

/* What the child is born with, and what comes of it. */
struct birth {
	const struct plan *plan;
	const int *sockets;
	struct clone_args args;
	struct err *e;
	pid_t pid; /* not greater than 0: there is none, and r and *e say why */
	int pidfd, r;
};

static int clone_failed(struct birth *b, int errnum)
{
	if (errnum == EPERM && !(b->plan->namespaces & NS_USER))
		return err_set(b->e, -EPERM, "namespaces: only root can do without user");
	if (errnum == EINVAL)
		return err_set(b->e, -ENXIO, "namespaces: this kernel does not have all of them");
	if (errnum == ENOSPC || errnum == EUSERS)
		return err_set(b->e, -ENOSPC, "namespaces: the limit in /proc/sys/user is reached");
	return err_sys(b->e, errnum, "starting the container");
}

static void begin(void *arg)
{
	const struct birth *b = arg;

	close(b->sockets[0]); /* or it would outlive us, waiting for what we say to it */
	child_main(b->plan, b->sockets[1]);
}

/*
 * Where we have nothing to do until it executes init, it has our memory until then, and we sleep:
 * to copy that, and then each page that one of us writes on, takes a tenth of a start.
 */
static void give_birth_together(struct birth *b)
{
	long pid = clone_vfork(&b->args, begin, b);

	b->pid = (pid_t)pid;
	if (pid < 0)
		b->r = clone_failed(b, (int)-pid);
}

static void give_birth(struct birth *b)
{
	b->pid = (pid_t)syscall(SYS_clone3, &b->args, sizeof(b->args));
	if (b->pid == 0)
		begin(b);
	if (b->pid < 0)
		b->r = clone_failed(b, errno);
}

/* Being born in that user namespace, the child's other namespaces are that one's, too. */
static int door_main(void *arg)
{
	struct birth *b = arg;
	const struct plan *p = b->plan;

	b->r = oom_score_set(p);
	if (b->r < 0) {
		err_sys(b->e, -b->r, "oom.score");
		return 1;
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (setns(p->join_user, CLONE_NEWUSER) < 0)
		b->r = join_failed("user", errno, b->e);
	else if (p->join_pids >= 0 && setns(p->join_pids, CLONE_NEWPID) < 0)
		b->r = join_failed("pid", errno, b->e);
	else
		give_birth(b);
	return 0;
}

static void give_birth_elsewhere(struct birth *b)
{
	int r;

	b->args.flags |= CLONE_PARENT;
	b->args.exit_signal = 0;
	r = door_open(door_main, b);
	if (r < 0)
		b->r = clone_failed(b, -r);
	else if (b->r == 0 && b->pid <= 0)
		b->r = err_set(b->e, -EIO, "starting the container: killed on the way");
}

/*
 * No handler of the monitor's may run in the child, so all signals wait until it is past that. Who
 * may trace a process is its memory's: where others see the child from its birth, a copy of us,
 * nobody may trace us for that moment, and a child that has our memory itself changes it.
 */
static void clone_child(struct birth *b)
{
	const struct plan *p = b->plan;
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	/* The mount and cgroup namespaces are the child's to make, later. */
	uint64_t others = NS_MOUNT | NS_CGROUP | (p->join_user >= 0 ? NS_USER : 0) |
			  (p->stock.net >= 0 ? NS_NET : 0);
	sigset_t all, old;

	b->args = (struct clone_args){
		.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 plan_clone_flags(p->namespaces & ~others) |
			 (p->birth_group >= 0 ? CLONE_INTO_CGROUP : 0),
		.cgroup = p->birth_group >= 0 ? (uint64_t)p->birth_group : 0,
		.pidfd = (uint64_t)(uintptr_t)&b->pidfd,
		.exit_signal = SIGCHLD,
	};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (p->join_pids >= 0)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (p->join_user >= 0)
		give_birth_elsewhere(b);
	else if (p->together)
		give_birth_together(b);
	else
		give_birth(b);
	prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void close_all(const int fds[REPORT_FDS])
{
	for (int i = 0; i < REPORT_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void hang_up(struct launched *l)
{
	close(l->socket);
	l->socket = -1;
}

/* Listens until the child has executed init, waits where it is held, or has failed. */
static int follow(struct launched *l, struct err *e)
{
	for (;;) {
		struct child_report report;
		int r = report_receive(l->socket, &report, l->fds, l->nfds);

		if (r == 0 && l->ready) {
			hang_up(l);
			return 0;
		}
		if (r == 0)
			return err_set(e, -EIO, "init: killed before it could be executed");
		if (r == -EAGAIN)
			return err_set(e, -EIO, "init: held up before it could be executed");
		if (r < 0)
			return err_sys(e, -r, "starting the container");
		if (report.errnum != 0)
			return report_explain(&report, e);
		if (report.held)
			return 0;
		if (l->fds[0] < 0)
			return err_set(e, -EIO, "starting the container: a broken report");
		l->ready = true;
	}
}

static int write_map(struct plan *p, pid_t pid, struct err *e)
{
	if (!(p->namespaces & NS_USER))
		return 0;
	return p->join_user >= 0 ? usermap_read(pid, &p->map, e) : usermap_write(pid, &p->map, e);
}

static int guide(struct plan *p, const struct launch_hook *born, struct launched *l, struct err *e)
{
	int r = write_map(p, l->pid, e);

	if (r == 0)
		r = born->run(born->arg, l->pid, e);
	if (r < 0)
		return r;
	if (p->waits)
		send(l->socket, "", 1, MSG_NOSIGNAL);
	if (p->layered && !p->together)
		r = root_send(p, l->pid, l->socket, e);
	return r < 0 ? r : follow(l, e);
}

int container_release(struct launched *l, enum engine_hold hold, struct err *e)
{
	const struct timeval patience = { .tv_sec = HELD_UP_SECONDS };
	const char next = (char)hold;
	const bool taken = l->ready;
	int r;

	/* A session inside may be what holds it up. */
	if (setsockopt(l->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    send(l->socket, &next, 1, MSG_NOSIGNAL) != 1)
		r = err_set(e, -EIO, "init: killed before it could be executed");
	else
		r = follow(l, e);
	if (r < 0 && !taken) {
		close_all(l->fds);
		l->ready = false;
	}
	return r;
}

int container_launch(struct plan *p, const struct launch_hook *born, struct launched *ret,
		     struct err *e)
{
	struct launched l = { .pidfd = -1, .fds = { -1, -1, -1, -1 }, .nfds = launched_fds(p) };
	int sockets[2], home = -1, r, back;
	struct birth b = { .plan = p, .sockets = sockets, .e = e, .pidfd = -1 };
	siginfo_t info;

	/* Those of the monitor's are not the owner's; where he may not drop them, init keeps these.
	 */
	if (geteuid() == 0 && p->owner.uid != 0 && cred_set_groups(&p->owner) < 0)
		return err_sys(e, errno, "starting the container: the owner's groups");
	r = report_sockets(sockets, e);
	if (r < 0)
		return r;
	l.socket = sockets[0];
	if (p->layered && p->together)
		r = root_send(p, 0, sockets[0], e);
	if (r == 0)
		r = leave_home(p, sockets[0], &home, e);
	if (r == 0) {
		clone_child(&b);
		r = b.r;
	}
	l.pid = b.pid;
	l.pidfd = b.pidfd;
	back = come_home(home, e);
	r = r < 0 ? r : back;
	close(sockets[1]);
	if (r == 0)
		r = guide(p, born, &l, e);
	if (r == 0) {
		*ret = l;
		return 0;
	}
	hang_up(&l);
	close_all(l.fds);
	if (l.pid > 0) {
		syscall(SYS_pidfd_send_signal, l.pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)l.pidfd, &info, WEXITED);
		close(l.pidfd);
	}
	return r;
}
