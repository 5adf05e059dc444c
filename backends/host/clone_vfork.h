/*
 * clone_vfork(): as vfork(), but with all that clone3 can do, and with a stack for the child, which
 * so may call functions that the compiler, a sanitizer too, knows nothing special of.
 */
#ifndef BACKENDS_HOST_CLONE_VFORK_H
#define BACKENDS_HOST_CLONE_VFORK_H

#include <linux/sched.h>

/*
 * The child calls run(arg), which does not return; it has our memory, and we sleep, until it
 * executes a program or ends. Of args, flags are added to, and the stack is set. All signals should
 * wait meanwhile: no handler of ours may run in the child. Returns the pid, or -errno.
 */
long clone_vfork(struct clone_args *args, void (*run)(void *), void *arg);

#endif
