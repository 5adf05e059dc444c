/*
 * Device nodes of a container's beside the common ones, device/NAME: the node below its /dev, and
 * the right of its control group to use it.
 *
 * A node is made; in a user namespace none can be, so there the host's own is shown (a bind mount).
 * Where it is to be is looked up in the container's /dev and never elsewhere, by way of no link and
 * no other mount.
 */
#ifndef BACKENDS_CONTAINER_DEVICE_PART_H
#define BACKENDS_CONTAINER_DEVICE_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/cgroup/cgroup.h"
#include "backends/config.h"
#include "backends/engine.h"

struct child;

struct device_spec {
	char name[64];	/* of the part */
	char path[256]; /* below /dev */
	struct device_access access;
	unsigned mode, uid, gid;
	bool shown; /* the host's node: */
	int mnt;    /* a copy of it, mounted nowhere yet; -1: none, or in place */
};

/* What a container has; the engine's. */
struct devices {
	struct device_spec list[PARTS_MAX];
	size_t n;
};

/* None yet; NULL: no memory. It is free()'s; most of its room is never touched. */
struct devices *devices_new(void);
/*
 * Takes the descriptors of the configuration's devices, finds out what they are, and has the
 * control group allow them. namespaces: the container's own. Sentences begin with
 * "device/NAME/SETTING: ".
 */
int devices_init(struct devices *d, struct engine_host *host, uint64_t namespaces, struct err *e);
/* What is mounted nowhere is given up. */
void devices_close(struct devices *d);

/* Child's side (child.h): makes or shows it below dev, the root of the mount on /dev. */
void device_spec_put(struct child *c, const struct device_spec *s, int dev);

/* Makes those of the running container what `next` says, all or nothing. */
int devices_configure(struct devices *d, struct engine_host *host, int init, uint64_t namespaces,
		      const struct machine_config *next, struct err *e);

#endif
