/*
 * The default system call filter of containers, compiled to a BPF program.
 *
 * It means what the common runtimes' default profile means: what is not known to be harmless
 * answers EPERM; calls newer than the profile, and clone3 whose flags a filter cannot see, answer
 * ENOSYS, so that a libc falls back to older ones; what a capability guards anyway is let through
 * when the container has that capability. 32-bit x86 and x32 programs are filtered alike.
 */
#ifndef BACKENDS_CONTAINER_SECCOMP_H
#define BACKENDS_CONTAINER_SECCOMP_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"

struct sock_filter;

/*
 * Compiles the profile for a container with these capabilities (bit N is capability N) to a
 * sealed memfd that holds an array of struct sock_filter. It takes milliseconds and depends on
 * nothing else: the caller keeps the descriptor for the next machine. quotas: native calls of
 * quotactl(2) pass, since another filter has them answered (quotaserver.h).
 */
int seccomp_profile_export(uint64_t capabilities, bool quotas, int *ret_fd, struct err *e);

/*
 * Reads a program back from such a memfd, which another process may have sent: EINVAL unless its
 * size is that of 1 to 4096 instructions. *ret is malloc'd.
 */
int seccomp_profile_load(int fd, struct sock_filter **ret, unsigned short *ret_count,
			 struct err *e);

#endif
