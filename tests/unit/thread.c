/* thread_start: which signals the thread takes, its stack, and what is said when there is none. */
#include "backends/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"

struct seen {
	sigset_t blocked;
	size_t stack;
};

static void *look(void *arg)
{
	struct seen *s = arg;
	pthread_attr_t attr;
	void *at;

	pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &at, &s->stack);
		pthread_attr_destroy(&attr);
	}
	return arg;
}

static bool takes(const struct seen *s, int signal)
{
	return !sigismember(&s->blocked, signal);
}

/* Whether it ran and came back with its argument. */
static bool run(struct seen *s, size_t stack, int signal)
{
	pthread_t thread;
	void *answer = NULL;

	*s = (struct seen){ 0 };
	return thread_start(&thread, stack, signal, look, s) == 0 &&
	       pthread_join(thread, &answer) == 0 && answer == s;
}

static void test_signals(void)
{
	sigset_t before, after;
	struct seen s;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	ok(run(&s, THREAD_STACK_SMALL, 0), "a thread runs");
	ok(takes(&s, SIGSYS), "it is told of a call that its filter refuses");
	ok(!takes(&s, SIGTERM) && !takes(&s, SIGCHLD) && !takes(&s, SIGURG) &&
		   !takes(&s, SIGPIPE) && !takes(&s, SIGRTMAX),
	   "and takes nothing that is meant for the process");
	ok(run(&s, THREAD_STACK_SMALL, SIGURG) && takes(&s, SIGURG) && takes(&s, SIGSYS),
	   "it takes the one by which it is woken");
	ok(!takes(&s, SIGTERM), "and no other");
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ok(sigismember(&before, SIGTERM) == sigismember(&after, SIGTERM) &&
		   sigismember(&before, SIGURG) == sigismember(&after, SIGURG),
	   "who starts it takes what it took before");
}

static void test_stack(void)
{
	struct seen s;
	bool ran = run(&s, THREAD_STACK_SMALL, 0);

	ok(ran && s.stack <= 2 * THREAD_STACK_SMALL, "a small stack is small (%zu KiB)",
	   s.stack >> 10);
	ran = run(&s, THREAD_STACK_USUAL, 0);
	ok(ran && s.stack > THREAD_STACK_SMALL, "the usual one is the system's (%zu KiB)",
	   s.stack >> 10);
	ok(thread_start(&(pthread_t){ 0 }, 1, 0, look, &s) == -EINVAL, "a byte is no stack");
}

/* RLIMIT_NPROC binds nobody who is root; in a process of its own, which is nobody's any more. */
static int refused_here(void)
{
	const struct rlimit none = { 0, 0 };
	struct seen s;

	if (geteuid() == 0 && setreuid(65533, 65533) < 0)
		return 2;
	setrlimit(RLIMIT_NPROC, &none);
	return thread_start(&(pthread_t){ 0 }, THREAD_STACK_SMALL, 0, look, &s) != -EAGAIN;
}

static void test_refused(void)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(refused_here());
	ok(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
	   "where no thread can be had, that is said");
}

int main(void)
{
	test_signals();
	test_stack();
	test_refused();
	return tap_done();
}
