/*
 * A system call filter from a file, in the form that OCI's runtime specification has for it
 * ("linux.seccomp": defaultAction, defaultErrnoRet, architectures, syscalls), and with what the
 * common runtimes' own files have beside it (archMap, includes, excludes). libseccomp makes the
 * program.
 *
 * What it cannot mean here is refused with a sentence: a listener (SCMP_ACT_NOTIFY), flags. Names
 * of calls that this libseccomp does not know are passed over, as everywhere.
 */
#ifndef BACKENDS_CONTAINER_SECCOMP_FILE_H
#define BACKENDS_CONTAINER_SECCOMP_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "backends/base/err.h"

#define SECCOMP_FILE_MAX (1 << 20) /* bytes */

/*
 * Compiles it for a container with these capabilities to a memfd for seccomp_profile_load(). The
 * text may be anybody's.
 */
int seccomp_file_parse(const char *text, size_t len, uint64_t capabilities, int *ret_fd,
		       struct err *e);
/* The same from a file, which stays the caller's. */
int seccomp_file_read(int fd, uint64_t capabilities, int *ret_fd, struct err *e);

#endif
