/* A way into another's namespaces: see door.h. */
#include "backends/container/door.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int door_open(int (*through)(void *arg), void *arg)
{
	_Alignas(16) char stack[DOOR_STACK];
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	sigset_t all, old;
	int door, saved;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	door = clone(through, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD,
		     arg);
	saved = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (door < 0)
		return -saved;
	while (waitpid(door, NULL, 0) < 0 && errno == EINTR)
		;
	prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
	return 0;
}
