/*
 * open_in(): openat2(2), which the C library does not offer; each caller says how far the path may
 * lead (RESOLVE_*).
 */
#ifndef BACKENDS_HOST_OPENIN_H
#define BACKENDS_HOST_OPENIN_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

/*
 * A descriptor, closed on exec, that is the caller's; or -1 with errno. Nothing is made (O_CREAT
 * would want a mode). Async-signal-safe.
 */
static inline int open_in(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
				.resolve = resolve };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

#endif
