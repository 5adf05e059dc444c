/*
 * clone3 for a child that has our memory and a stack of its own, as clone(3) makes one, but with
 * all that clone3 can do. x86-64.
 */
#ifndef BACKENDS_HOST_CLONE_ON_H
#define BACKENDS_HOST_CLONE_ON_H

#include <linux/sched.h>
#include <sys/syscall.h>

/*
 * args has CLONE_VM, and a stack whose end is a multiple of 16. The child calls run(arg), which
 * does not return. Returns the pid, or -errno. Allocates nothing.
 */
static inline long clone_on(struct clone_args *args, void (*run)(void *), void *arg)
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

#endif
