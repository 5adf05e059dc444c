/*
 * struct sessions: the further processes that a container was given (exec/NAME), as its monitor
 * keeps them. enter.h makes them; here is what they read, print and how they end.
 *
 * Sessions are the monitor's children: they go on while there is no daemon, and end with the
 * container. All of it runs on the loop's thread.
 */
#ifndef BACKENDS_CONTAINER_SESSION_H
#define BACKENDS_CONTAINER_SESSION_H

#include "backends/base/err.h"
#include "backends/engine.h"

#define SESSIONS_MAX 64 /* at once, in one container */

struct quotaserver;
struct sessions;

int sessions_new(struct engine_host *host, struct sessions **ret, struct err *e);
/* Who answers their calls of quotactl(2), with quota.delegate; outlives them. */
void sessions_set_quotas(struct sessions *s, struct quotaserver *quotas);
/* Kills and reaps those that are left: init cannot end before. */
void sessions_free(struct sessions *s);

/* As struct exec_ops; init is a pidfd of the container's first process. */
int sessions_start(struct sessions *s, int init, struct exec_spec *spec, uint64_t token,
		   struct err *e);
int sessions_input(struct sessions *s, uint64_t id, const void *data, size_t len, uint64_t token,
		   struct err *e);
int sessions_signal(struct sessions *s, uint64_t id, int signo, struct err *e);
void sessions_list(struct sessions *s);

#endif
