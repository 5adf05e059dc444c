/*
 * struct nics: the network interfaces of a running container: one end of a veth pair inside its
 * network namespace, the other on the host, a port of the switch. The monitor's loop thread's.
 *
 * For each interface that is new, or moves to another switch, the daemon has passed a file with
 * the index of the switch's bridge (engine_take_fd()): the machine's owner may join it.
 */
#ifndef BACKENDS_CONTAINER_NICS_H
#define BACKENDS_CONTAINER_NICS_H

#include "backends/engine.h"

struct nics;

/* None yet; for the network namespace of process pid. */
int nics_new(struct engine_host *host, pid_t pid, struct nics **ret, struct err *e);
/* Makes them what `next` says: at the start, and later, all or nothing. Sentences begin with
 * "nic/NAME/SETTING: ". */
int nics_configure(struct nics *n, const struct machine_config *next, struct err *e);
/* Takes NULL. Nothing of them is left when it returns. */
void nics_free(struct nics *n);

#endif
