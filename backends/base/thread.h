/*
 * thread_start(): a thread for one job, which takes no signal that is meant for the process.
 *
 * Signals are the loop's. A thread takes SIGSYS, with which a system call filter tells whose call
 * it has refused, and the one, if any, by which its owner wakes it.
 */
#ifndef BACKENDS_BASE_THREAD_H
#define BACKENDS_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Enough for one that makes system calls and has nothing large of its own. */
#define THREAD_STACK_SMALL ((size_t)64 << 10)
#define THREAD_STACK_USUAL ((size_t)0)

/*
 * signal: the one that it takes, or 0. The caller joins or detaches it, and owns arg until then.
 * Returns 0 or -errno, and *ret is set only with 0.
 */
int thread_start(pthread_t *ret, size_t stack, int signal, void *(*run)(void *), void *arg);

#endif
