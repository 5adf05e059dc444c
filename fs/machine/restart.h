/*
 * struct restart: whether and when a machine whose run is over is started again by itself.
 *
 * The setting `restart` says after which endings, unless a verb asked for the end. The first time
 * it waits restart.delay, then twice as long each time, up to a minute; after restart.max times
 * in a row it gives up. A run of a minute begins the count anew, as does a start that was asked
 * for. While it waits the machine is at rest in all respects; start and stop, or a change of the
 * settings, call it off.
 *
 * RUN/UUID.restart has it for the next daemon of this boot, which then goes on with it, also
 * with a machine that ended while there was no daemon.
 */
#ifndef FS_MACHINE_RESTART_H
#define FS_MACHINE_RESTART_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "backends/config.h"
#include "backends/engine.h"

struct machine;
struct err;

struct restart {
	struct event *timer; /* it waits to be started; NULL: it does not */
	unsigned count;	     /* restarts in a row, that one included */
	bool told;	     /* to end, by stop or kill: it stays at rest */
	bool left;	     /* ended with the daemon: the next one is to start it */
	bool refused;	     /* what it follows is no ending but a refused start */
	bool own;     /* nobody asked for the last start: refusals go to `error`, events, log */
	time_t began; /* the run; on the monotonic clock */
};

/* Whether the setting asks for another run after this ending. */
bool restart_wanted(enum restart_policy policy, const struct ending *ending);
/* Seconds to wait before restart number count, counted from 1. */
unsigned restart_seconds(uint64_t delay, unsigned count);

/* A start is under way, asked for by a client or our own. */
void restart_began(struct machine *m, bool asked);
/* stop or kill has been asked for, or not after all. */
void restart_told(struct machine *m, bool told);
/* The machine ends only because the daemon does. */
void restart_leave(struct machine *m);
bool restart_waits(const struct machine *m);
/*
 * The run is over, or a start of our own was refused (ending NULL). To be called before the new
 * state is told; restart_tell() behind it says in `events` what was decided.
 */
void restart_decide(struct machine *m, const struct ending *ending);
void restart_tell(struct machine *m);
/* It is not started after all; nothing when it does not wait. */
void restart_call_off(struct machine *m);
/* The settings have changed. */
void restart_configured(struct machine *m);
/* Reads what the daemon before left. Whether it was waiting: decide anew. */
bool restart_load(struct machine *m);
/* Forgets it all: the machine is being removed. */
void restart_forget(struct machine *m);
void restart_free(struct machine *m);

/* Starts a machine for which nobody asks: after a failure, or by autostart. */
void restart_start(struct machine *m);
/* Such a start was refused. */
void restart_refused(struct machine *m, const struct err *e);

#endif
