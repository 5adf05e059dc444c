/* Cloning a container's first process: see launch.h; the child's side is child.c. */
#include "backends/container/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/container/child.h"

/* The mount and cgroup namespaces are the child's to make, later. */
static uint64_t clone_flags(uint64_t namespaces)
{
	static const struct {
		uint64_t namespace;
		uint64_t flag;
	} flags[] = {
		{ NS_PID, CLONE_NEWPID }, { NS_NET, CLONE_NEWNET },   { NS_UTS, CLONE_NEWUTS },
		{ NS_IPC, CLONE_NEWIPC }, { NS_USER, CLONE_NEWUSER }, { NS_TIME, CLONE_NEWTIME },
	};
	uint64_t all = CLONE_PIDFD;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (namespaces & flags[i].namespace)
			all |= flags[i].flag;
	return all;
}

/* The child must find the socket above its standard descriptors. */
static int make_sockets(int fds[2], struct err *e)
{
	int high;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(e, errno, "starting the container");
	if (fds[1] >= 3)
		return 0;
	high = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	close(fds[1]);
	fds[1] = high;
	if (high >= 0)
		return 0;
	close(fds[0]);
	return err_sys(e, EMFILE, "starting the container");
}

/* No handler of the monitor's may run in the child, so all signals wait until it is past that. */
static pid_t clone_child(const struct plan *p, int socket, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = clone_flags(p->namespaces) | (p->birth_group >= 0 ? CLONE_INTO_CGROUP : 0),
		.cgroup = p->birth_group >= 0 ? (uint64_t)p->birth_group : 0,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};
	sigset_t all, old;
	pid_t pid;
	int saved;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_main(p, socket);
	saved = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return pid;
}

static void close_both(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Takes up to two descriptors out of msg; returns whether they were two. */
static bool take_descriptors(struct msghdr *msg, int fds[2])
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return false;
	memcpy(fds, CMSG_DATA(cmsg),
	       cmsg->cmsg_len >= CMSG_LEN(2 * sizeof(int)) ? 2 * sizeof(int) : sizeof(int));
	return fds[1] >= 0;
}

/* One message: its size, 0 for the end, or -errno. fds are set when it brought two. */
static ssize_t receive(int socket, struct child_report *report, int fds[2])
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { report, sizeof(*report) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int got[2] = { -1, -1 };
	ssize_t n;

	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (take_descriptors(&msg, got) && fds[0] < 0)
		memcpy(fds, got, sizeof(got));
	else
		close_both(got);
	return n;
}

static int explain(const struct child_report *report, struct err *e)
{
	char text[sizeof(report->text) + 1] = "";

	memcpy(text, report->text, sizeof(report->text));
	if (report->whole)
		return err_set(e, -err_public(report->errnum), "%s", text);
	return err_sys(e, report->errnum, "%s", text);
}

/* Listens until the child has executed init (fds are its console) or has failed. */
static int follow(int socket, int fds[2], struct err *e)
{
	bool ready = false;

	for (;;) {
		struct child_report report;
		ssize_t n = receive(socket, &report, fds);

		if (n == 0 && ready)
			return 0;
		if (n == 0)
			return err_set(e, -EIO, "init: killed before it could be executed");
		if (n < 0)
			return err_sys(e, (int)-n, "starting the container");
		if (n != sizeof(report) || (report.errnum == 0 && fds[0] < 0))
			return err_set(e, -EIO, "starting the container: a broken report");
		if (report.errnum != 0)
			return explain(&report, e);
		ready = true;
	}
}

static int clone_failed(const struct plan *p, int errnum, struct err *e)
{
	if (errnum == EPERM && !(p->namespaces & NS_USER))
		return err_set(e, -EPERM, "namespaces: only root can do without user");
	if (errnum == EINVAL)
		return err_set(e, -ENXIO, "namespaces: this kernel does not have all of them");
	if (errnum == ENOSPC || errnum == EUSERS)
		return err_set(e, -ENOSPC, "namespaces: the limit in /proc/sys/user is reached");
	return err_sys(e, errnum, "starting the container");
}

static int guide(const struct plan *p, pid_t pid, int socket, int fds[2], struct err *e)
{
	if (p->namespaces & NS_USER) {
		int r = usermap_write(pid, &p->map, e);

		if (r < 0)
			return r;
		send(socket, "", 1, MSG_NOSIGNAL);
	}
	return follow(socket, fds, e);
}

int container_launch(const struct plan *p, struct launched *ret, struct err *e)
{
	int sockets[2], fds[2] = { -1, -1 }, pidfd = -1, r;
	siginfo_t info;
	pid_t pid;

	/* Those of the monitor's are not the owner's; where he may not drop them, init keeps these.
	 */
	if (geteuid() == 0 && p->owner.uid != 0 && cred_set_groups(&p->owner) < 0)
		return err_sys(e, errno, "starting the container: the owner's groups");
	r = make_sockets(sockets, e);
	if (r < 0)
		return r;
	pid = clone_child(p, sockets[1], &pidfd);
	r = pid < 0 ? clone_failed(p, errno, e) : 0;
	close(sockets[1]);
	if (r == 0)
		r = guide(p, pid, sockets[0], fds, e);
	close(sockets[0]);
	if (r == 0) {
		*ret = (struct launched){ pid, pidfd, fds[0], fds[1] };
		return 0;
	}
	close_both(fds);
	if (pid > 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
		close(pidfd);
	}
	return r;
}
