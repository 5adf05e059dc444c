/* Something done inside a running container: see inside.h. */
#include "backends/container/inside.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 5000

static _Noreturn void inside_main(int socket, int init, uint64_t namespaces,
				  void (*fn)(struct child *c, const void *arg), const void *arg)
{
	static const struct plan none = { .names = NULL };
	struct child c = CHILD_NEW(&none, socket, -1, HOLD_NONE);
	int flags = (int)plan_clone_flags(namespaces);

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (flags && setns(init, flags) < 0)
		child_fail(&c, errno, "entering the container", NULL);
	if (namespaces & NS_USER &&
	    (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
		child_fail(&c, errno, "becoming the container's root", NULL);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	fn(&c, arg);
	child_tell_ready(&c, NULL, 0);
	_exit(0);
}

static int listen_to(int socket, struct err *e)
{
	struct pollfd p = { .fd = socket, .events = POLLIN };
	struct child_report report;
	int none[REPORT_FDS] = { -1, -1, -1, -1 }, r;

	do
		r = poll(&p, 1, PATIENCE_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return err_set(e, -EIO, "the container keeps it waiting");
	r = report_receive(socket, &report, none, 0);
	if (r != 1)
		return err_set(e, -EIO, "killed inside the container");
	return report.errnum ? report_explain(&report, e) : 0;
}

int inside_run(int init, uint64_t namespaces, void (*fn)(struct child *c, const void *arg),
	       const void *arg, struct err *e)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	sigset_t all, old;
	int sockets[2], r = report_sockets(sockets, e), saved;
	pid_t pid;

	if (r < 0)
		return r;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); // no handler of ours may run in it
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		inside_main(sockets[1], init, namespaces, fn, arg);
	saved = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(sockets[1]);
	r = pid < 0 ? err_sys(e, saved, "entering the container") : listen_to(sockets[0], e);
	close(sockets[0]);
	if (pid > 0) {
		kill(pid, SIGKILL); // our child still: it is reaped below
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}
