/* spawn_process(): see spawn.h. */
#include "backends/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child, which shares our memory and stack while we sleep: it must not return. */
static __attribute__((noreturn, noinline)) void child_exec(const struct spawn *s,
							   volatile int *failed)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && setsid() >= 0 &&
	    dup2(s->fd, s->fd_as) == s->fd_as &&
	    (!s->also || dup2(s->also, s->fd_as + 1) == s->fd_as + 1))
		execve(s->exe, s->argv, s->env);
	*failed = errno;
	_exit(127);
}

/*
 * As vfork(), but with clone3's arguments. Inline, since a child that returned from a function
 * would let its callees overwrite the address that we are to return to.
 */
static inline __attribute__((always_inline)) long clone3_here(struct clone_args *args)
{
	long ret = SYS_clone3;

	__asm__ volatile("syscall"
			 : "+a"(ret)
			 : "D"(args), "S"(sizeof(*args))
			 : "rcx", "r11", "memory");
	return ret;
}

int spawn_process(const struct spawn *s, pid_t *ret_pid, struct err *e)
{
	struct clone_args args = { .flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD };
	volatile int failed = 0;
	sigset_t all, old;
	long pid;

	/* dup2() onto itself would leave it to be closed by execve(). */
	if (s->fd == s->fd_as || s->fd_as < 3 ||
	    (s->also && (s->also == s->fd_as || s->also == s->fd_as + 1)))
		return err_set(e, -EIO, "start: descriptor %d cannot be handed over", s->fd);
	if (s->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)s->cgroup;
	}
	if (s->own_pids)
		args.flags |= CLONE_NEWPID;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of ours may run in the child */
	pid = clone3_here(&args);
	if (pid == 0)
		child_exec(s, &failed);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return err_sys(e, (int)-pid, "start: clone3");
	if (failed) {
		waitpid((pid_t)pid, NULL, 0);
		return err_sys(e, failed, "start: %s", s->exe);
	}
	*ret_pid = (pid_t)pid;
	return 0;
}
