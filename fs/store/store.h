/*
 * The state directory: what must survive the daemon, as files.
 *
 *     STATE/ids           numbers below this one may have been given to objects
 *     STATE/KIND/NAME/    a machine: `config.yaml`, `meta` (id, owner, modes), `console`,
 *                         `console.old`, `exit`; a container's `exec/` (fs/exec/exec.h)
 *
 * The directory itself is locked (flock) while a daemon uses it. A file is replaced whole: written
 * new, synced, renamed, and the directory synced; so a reader finds the old or the new one.
 * Directories appear and disappear by rename. Names that begin with a dot are unfinished work of a
 * daemon that was killed, and go at the next start: what was being made at once, and what was to be
 * removed, which may be large, when there is time.
 */
#ifndef FS_STORE_STORE_H
#define FS_STORE_STORE_H

#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/base/text.h"

/*
 * Locks what fd is open on, for as long as it is open, for one daemon: -EWOULDBLOCK when another
 * one has it. One that was killed may have it for a moment more, by a process between fork and
 * exec.
 */
int store_lock(int fd);
/* Makes the directory if need be and locks it. EBUSY while another daemon has it. The
 * descriptor is the lock: it must not be inherited by who outlives the daemon. */
int store_open(const char *dir, int *ret_fd, struct err *e);
/* How the name of what is to be removed begins: no object has such a one, nor one being made. */
#define STORE_REMOVED ".~"

/* Removes a name of a directory, by and by. */
typedef void store_remove(void *arg, int dirfd, const char *name);

/*
 * The subdirectory for a kind of machine, made if need be, and swept: remove is told of what was to
 * be removed, with the descriptor that *ret_fd gets.
 */
int store_open_kind(int state_fd, const char *kind, store_remove *remove, void *arg, int *ret_fd,
		    struct err *e);

/*
 * Opens a file of ours: a regular one, without blocking on what a foreign one may be, and without
 * following links. Returns the descriptor or -errno; EINVAL for what is no regular file.
 */
int store_open_file(int dirfd, const char *name, int flags);
/* Replaces dirfd/name durably. */
int store_write(int dirfd, const char *name, const char *data, size_t len, struct err *e);
/* ENOENT, and other errnos of the system as they are. */
int store_read(int dirfd, const char *name, struct text *out);

/* An object's directory with `meta` and the file of its settings, durable when it returns. */
int store_make(int kind_fd, const char *name, const struct text *meta, const char *file,
	       const struct text *config, int *ret_fd, struct err *e);
/*
 * Takes the name away, durably; what it was is `hidden`, which begins with STORE_REMOVED, still to
 * be removed: by the caller, or when a daemon starts next.
 */
int store_hide(int kind_fd, const char *name, const char *hidden, struct err *e);
int store_rename(int kind_fd, const char *from, const char *to, struct err *e);

#endif
