/*
 * struct err: why an operation was refused or failed, as an errno and a sentence.
 *
 * Every function that can fail takes a struct err last and returns 0 or -errno. The lowest
 * function that knows the reason writes the sentence; callers return its code unchanged, or
 * put the name of what they were doing in front with err_prefix(). The sentence reaches the
 * user in an `error` file, so it names the thing and, where it can, what to do.
 *
 * The errnos that may reach a user are those of machinefs(5), "Errors": EINVAL EBUSY EEXIST
 * ENOENT EPERM EACCES ENXIO ENOSPC EIO ESTALE. err_sys() maps everything else the system may
 * answer to one of them.
 */
#ifndef BACKENDS_BASE_ERR_H
#define BACKENDS_BASE_ERR_H

#include <stddef.h>

struct err {
	int code;	/* 0, or a negative errno */
	char text[400]; /* one line, no newline at the end; cut when longer */
};

/* Sets code (negative) and sentence; returns code. A NULL e only returns code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Sets a sentence for a failed system call: the text, ": ", and strerror(errnum) (positive).
 * Returns the negative errno that users may see for errnum (see err_public).
 */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts text before the sentence; keeps and returns the code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The errno (positive) of machinefs(5) that stands for any errno (positive). */
int err_public(int errnum);

/* "EINVAL" for EINVAL or -EINVAL; "EIO" for one that has no public name. */
const char *err_name(int code);

#endif
