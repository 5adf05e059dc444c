/* Threads that take no signals: see thread.h. */
#include "backends/base/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret, size_t stack, int signal, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t block;
	int rc;

	sigfillset(&block);
	sigdelset(&block, SIGSYS);
	if (signal)
		sigdelset(&block, signal);
	rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	if (stack)
		rc = pthread_attr_setstacksize(&attr, stack);
	if (!rc)
		rc = pthread_attr_setsigmask_np(&attr, &block);
	if (!rc)
		rc = pthread_create(ret, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -rc;
}
