/*
 * struct poker: does through the mount what the daemon may not do there itself: wakes inotify
 * watchers of files that it has changed, and makes and removes directories.
 *
 * The kernel tells watchers only of what is done through the mount; so a helper sets the time of
 * the file through the mount, and watchers see one IN_MODIFY. The daemon's loop must never touch
 * its own mount (it would wait for itself), and never waits for the helper: names go through a
 * bounded queue, in which one that waits already is not put again, to a thread that does.
 *
 * The helper is a process, `--poker`: whoever is inside a request that the daemon has read cannot
 * be killed before it is answered, and a daemon with such a thread would hold its locks, dead, and
 * wait for the next one, which waits for these.
 */
#ifndef FS_POKER_H
#define FS_POKER_H

#include <sys/types.h>

#include "backends/base/err.h"

struct event_base;
struct poker;

/*
 * Starts the helper on the mounted file system at mountpoint. All but poker_helper() is the loop's;
 * the helper begins with what it is told a moment later.
 */
int poker_new(const char *mountpoint, struct event_base *loop, struct poker **ret, struct err *e);
/* path is relative to the mount point; copied. */
void poker_poke(struct poker *p, const char *path);
/* mkdir of it; whether that succeeds likewise. */
void poker_make(struct poker *p, const char *path);
/* rmdir of it; whether it succeeds is seen by the request that comes. */
void poker_remove(struct poker *p, const char *path);
/* The helper's process, by which its requests can be known; 0: there is none just now. */
pid_t poker_helper(struct poker *p);
/* To be called after the mount is gone: the helper may be inside a request to us. */
void poker_free(struct poker *p);

/* The helper's own life, until its socket is closed. For main(). */
#define POKER_FD 3
int poker_main(void);

#endif
