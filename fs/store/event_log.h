/*
 * struct event_log: what happened, a line each: "SEQ TIME OBJECT WHAT [DETAIL]".
 *
 * The daemon has one of all events, and each machine one of its own. Each numbers its lines from
 * 1, so that a gap in SEQ shows what a reader missed. Each is bounded: when it is full the older
 * half goes, which a follower sees as a truncation.
 *
 * SEQ goes on where an earlier daemon ended: the log of all can be kept in a file, to which
 * each event is appended by one write, with the object's id and own SEQ before the line:
 * "ID OWNSEQ SEQ TIME OBJECT WHAT [DETAIL]". From it the objects' logs are made again as well. It
 * is not synced: it is for this boot of the host. When it has twice the log's bound it is
 * written anew, with a line "ID OWNSEQ" first for each object.
 */
#ifndef FS_STORE_EVENT_LOG_H
#define FS_STORE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "backends/base/err.h"

struct event_log;

/* The log of all, in memory only; max: its bound in bytes, of_object: those of objects' logs. */
struct event_log *event_log_new(size_t max, size_t of_object);
/* Takes over what dirfd/events has, and keeps it there from now on; dirfd is borrowed. */
int event_log_keep(struct event_log *all, int dirfd, struct err *e);
/*
 * The log of the object with this id, beginning with what is kept of it; NULL: no memory. One
 * for an id; to be freed before `all`.
 */
struct event_log *event_log_of(struct event_log *all, uint64_t id);
/* Every object that is there has its log: what is kept of others is of no use any more. */
void event_log_settle(struct event_log *all);
void event_log_free(struct event_log *l);

/* Adds the line to the log of all and to the object's own. */
void event_log_add(struct event_log *own, struct timespec when, const char *object,
		   const char *what, const char *detail);
/* Whether the last event of this sort has this detail. */
bool event_log_told(const struct event_log *l, const char *what, const char *detail);
off_t event_log_size(const struct event_log *l);
ssize_t event_log_read(const struct event_log *l, char *buf, size_t size, off_t at);

#endif
