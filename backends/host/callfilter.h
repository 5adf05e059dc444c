/*
 * struct callfilter: a program for seccomp(2) as it grows, by which each system call's number is
 * looked up in a tree.
 *
 * Whenever one is installed the kernel compiles it, and runs it for every number that there is, to
 * know which are always allowed; both are part of what the start of a machine takes. So a program
 * is to be short, and no number's way through it long: it searches among stretches of numbers that
 * have the same answer but for a few, which are compared one by one, and each answer stands in it
 * once, behind the tree.
 *
 * linux/filter.h, linux/seccomp.h; Documentation/userspace-api/seccomp_filter.rst. No allocation.
 */
#ifndef BACKENDS_HOST_CALLFILTER_H
#define BACKENDS_HOST_CALLFILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALLFILTER_NUMBERS 1024 /* at most in a search */
#define CALLFILTER_MAX	   1024 /* instructions; some threads have small stacks */

struct callfilter {
	struct sock_filter code[CALLFILTER_MAX]; /* up to n */
	size_t n;
	bool overflow; /* what did not fit was left out: it must not be used */
};

/* Which answer each number has. */
struct callfilter_answers {
	const unsigned char *of; /* numbers from 0 on; the last one stands for all higher ones */
	unsigned count;
	unsigned kinds; /* answers are 0 and so on, below this */
	/* Appends what gives this answer, by returning; `of` was not all one answer. */
	void (*emit)(struct callfilter *f, unsigned answer, const void *arg);
	const void *arg;
};

void callfilter_init(struct callfilter *f);
void callfilter_emit(struct callfilter *f, struct sock_filter instruction);
/* Loads what is at this offset of struct seccomp_data: its lower half, where it has two. */
void callfilter_load(struct callfilter *f, size_t offset);
void callfilter_return(struct callfilter *f, uint32_t value);
/* When the loaded compares with k as op (BPF_JEQ and so on) says, `yes` instructions are skipped,
 * or else `no`. */
void callfilter_jump(struct callfilter *f, unsigned op, uint32_t k, unsigned yes, unsigned no);
/* Answers the number that is loaded. */
void callfilter_search(struct callfilter *f, const struct callfilter_answers *a);

#endif
