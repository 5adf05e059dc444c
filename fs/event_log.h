/*
 * struct event_log: what happened, a line each: "SEQ TIME OBJECT WHAT [DETAIL]".
 *
 * Bounded: when it is full the older half goes. SEQ counts the daemon's events from 1, so a
 * reader of the whole log sees what it missed as a gap; a machine's log has that machine's only.
 */
#ifndef FS_EVENT_LOG_H
#define FS_EVENT_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct event_log;

struct event_log *event_log_new(size_t max);
void event_log_free(struct event_log *l);
/* Takes the next number of the log `numbers`; `also` (may be NULL) gets the same line. */
void event_log_add(struct event_log *numbers, struct event_log *also, struct timespec when,
		   const char *object, const char *what, const char *detail);
off_t event_log_size(const struct event_log *l);
ssize_t event_log_read(const struct event_log *l, char *buf, size_t size, off_t at);

#endif
