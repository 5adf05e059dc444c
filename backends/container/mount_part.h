/*
 * struct mount_spec: a mount of the container's beside its root, mount/NAME, made ready.
 *
 * A part of the host's tree is copied by the monitor, mounted nowhere, from the descriptor that the
 * daemon opened as the owner. The container's child, or a process that enters the running
 * container, puts it in its place: the target is looked up in the container's root and never
 * outside, whatever links the container has made; it is made if it is missing. Nothing is mounted
 * in /proc and /sys.
 */
#ifndef BACKENDS_CONTAINER_MOUNT_PART_H
#define BACKENDS_CONTAINER_MOUNT_PART_H

#include <stdbool.h>

#include "backends/base/err.h"
#include "backends/container/mountfd.h"
#include "backends/engine.h"

struct child;

#define MOUNT_OPTIONS_MAX 8

struct mount_spec {
	const char *name;   /* of the part, as is: */
	const char *target; /* absolute */
	int mnt;	    /* what to mount, mounted nowhere yet; -1: a new tmpfs */
	bool file;	    /* it is no directory */
	unsigned attributes;
	char *text; /* of the options; owned */
	struct mount_option options[MOUNT_OPTIONS_MAX];
	int noptions;
	const char *context; /* SELinux's, of a new tmpfs's files; the configuration's */
};

/* Takes the part's descriptor. Sentences begin with "mount/NAME/SETTING: ". */
int mount_spec_init(struct mount_spec *s, struct engine_host *host, const struct part *p,
		    struct err *e);
void mount_spec_free(struct mount_spec *s);

/* Child's side (child.h): puts it into place below root, an O_PATH descriptor of the root. */
void mount_spec_put(struct child *c, const struct mount_spec *s, int root);
/* Likewise takes the uppermost mount at target away, if there is one. */
void mount_spec_remove(struct child *c, const char *target, int root);

/* Makes the running container's mounts what `next` says, all or nothing. */
int mounts_configure(struct engine_host *host, int init, uint64_t namespaces,
		     const struct machine_config *next, struct err *e);

#endif
