/* spawn_process(): see spawn.h. */
#include "backends/host/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/host/clone_vfork.h"

/* What the child is told, and tells. */
struct child {
	const struct spawn *s;
	pid_t parent; /* 0: its table of descriptors is a copy of ours */
	int failed;   /* errno */
	bool apart;   /* the table is no copy, and it came to nothing */
};

/* Above those that are to be handed over. */
static int fetch(const struct child *c, int parent, int fd)
{
	int mine = (int)syscall(SYS_pidfd_getfd, parent, fd, 0), high = -1;

	if (mine >= 0) {
		high = fcntl(mine, F_DUPFD_CLOEXEC, c->s->fd_as + 2);
		close(mine);
	}
	return high;
}

/*
 * A daemon of a thousand machines has seven thousand descriptors, and to copy them, only for
 * execve() to close them, takes longer than all else here. So the child shares the table, leaves it
 * with the first three, and fetches from us what it is to have.
 */
static bool leave_table(const struct child *c, int *fd, int *also, int *program)
{
	int parent;

	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return false;
	parent = (int)syscall(SYS_pidfd_open, c->parent, 0);
	/* It was our pid when that was opened, if it is now. */
	if (parent < 0 || getppid() != c->parent)
		return false;
	*fd = fetch(c, parent, c->s->fd);
	*also = c->s->also ? fetch(c, parent, c->s->also) : 0;
	*program = *program > 0 ? fetch(c, parent, *program) : 0;
	close(parent);
	return *fd >= 0 && *also >= 0 && *program >= 0;
}

static void execute(const struct spawn *s, int program)
{
	if (program > 0)
		syscall(SYS_execveat, program, "", s->argv, s->env, AT_EMPTY_PATH);
	else
		execve(s->exe, s->argv, s->env);
}

/*
 * The child, which has our memory while we sleep. A sanitizer would look for the end of its stack
 * where our thread's is, before each function that does not return.
 */
static _Noreturn __attribute__((no_sanitize("address"))) void child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn *s = c->s;
	int fd = s->fd, also = s->also, program = s->program, null;

	c->apart = c->parent && !leave_table(c, &fd, &also, &program);
	if (c->apart)
		_exit(127);
	/* Out of the way of those that are handed over. */
	if (!c->parent && program > 0)
		program = fcntl(program, F_DUPFD_CLOEXEC, s->fd_as + 2);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && setsid() >= 0 &&
	    dup2(fd, s->fd_as) == s->fd_as &&
	    (!s->also || dup2(also, s->fd_as + 1) == s->fd_as + 1))
		execute(s, program);
	c->failed = errno;
	_exit(127);
}

/* The pid, or -errno. */
static long spawn_child(const struct spawn *s, struct child *c)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	sigset_t all, old;
	long pid;

	if (c->parent)
		args.flags |= CLONE_FILES;
	if (s->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)s->cgroup;
	}
	if (s->own_pids)
		args.flags |= CLONE_NEWPID;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of ours may run in the child */
	pid = clone_vfork(&args, child_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid > 0 && (c->failed || c->apart))
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

int spawn_process(const struct spawn *s, pid_t *ret_pid, struct err *e)
{
	/* In a pid namespace of its own it could not name us. */
	struct child c = { .s = s, .parent = s->own_pids ? 0 : getpid() };
	long pid;

	/* dup2() onto itself would leave it to be closed by execve(). */
	if (s->fd == s->fd_as || s->fd_as < 3 ||
	    (s->also && (s->also == s->fd_as || s->also == s->fd_as + 1)))
		return err_set(e, -EIO, "start: descriptor %d cannot be handed over", s->fd);
	pid = spawn_child(s, &c);
	/* As who may not trace its parent, which a kernel can be told to ask for: then the old way.
	 */
	if (pid > 0 && c.apart) {
		c = (struct child){ .s = s };
		pid = spawn_child(s, &c);
	}
	if (pid < 0)
		return err_sys(e, (int)-pid, "start: clone3");
	if (c.failed)
		return err_sys(e, c.failed, "start: %s", s->exe);
	*ret_pid = (pid_t)pid;
	return 0;
}
