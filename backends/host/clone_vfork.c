/* clone_vfork(): see clone_vfork.h. x86-64. */
#include "backends/host/clone_vfork.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define CHILD_STACK (64u * 1024)

/* Nothing is on the child's stack by which it could return to here. */
static long clone_on_stack(struct clone_args *args, void (*run)(void *), void *arg)
{
	register void (*child_run)(void *) __asm__("r12") = run;
	register void *child_arg __asm__("r13") = arg;
	long ret = SYS_clone3;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t" /* here a backtrace ends */
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "hlt\n"
			 "1:"
			 : "+a"(ret)
			 : "D"(args), "S"(sizeof(*args)), "r"(child_run), "r"(child_arg)
			 : "rcx", "r11", "memory");
	return ret;
}

long clone_vfork(struct clone_args *args, void (*run)(void *), void *arg)
{
	void *stack = aligned_alloc(16, CHILD_STACK);
	long pid;

	if (!stack)
		return -ENOMEM;
	args->flags |= CLONE_VM | CLONE_VFORK;
	args->stack = (uint64_t)(uintptr_t)stack;
	args->stack_size = CHILD_STACK;
	pid = clone_on_stack(args, run, arg);
	free(stack);
	return pid;
}
