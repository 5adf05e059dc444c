/*
 * struct layer: where a container's writes are kept, and how much that may be.
 *
 * Where its file system has project quotas, the layer is a project of its own; quotactl_fd(2),
 * ext4(5) and xfs(5) "prjquota". Elsewhere, when there is to be a quota, the layer gets a file
 * system of its own: ext4 on a loop device, in the file `disk`, which has the size of the quota.
 */
#ifndef BACKENDS_CONTAINER_QUOTA_H
#define BACKENDS_CONTAINER_QUOTA_H

#include "backends/base/err.h"
#include "backends/config.h"

struct layer {
	int dir;  /* what `lower`, `upper` and `work` are in; a mount of its own with `disk` */
	int disk; /* the file, or -1 */
	int loop; /* its device */
	char device[32];  /* its name */
	uint32_t project; /* 0: there are no project quotas */
	struct quota quota;
	/* Lines of uid_map and gid_map by which files there have owners; NULL: as inside. */
	char *uids, *gids;
};

#define LAYER_NONE ((struct layer){ .dir = -1, .disk = -1, .loop = -1 })

/*
 * place: the layer's directory. users: it has to be a file system that has quotas of users, see
 * userquota.h; one of its own is so where the kernel can. EBUSY when something was written there
 * without a quota that needs a disk; ENXIO where there can be none. On failure there is nothing to
 * close.
 */
int layer_open(int place, const struct quota *q, bool users, struct layer *ret, struct err *e);
/* When what it writes has its place, `upper` and `work`: they become the project's. */
void layer_begin(struct layer *l);
/* A descriptor of the layer's mount that mountfd_place() takes, once; or -1 with errno. */
int layer_mount(const struct layer *l);
/* Another quota, from now on. EBUSY when a disk would have to shrink, or to be there. */
int layer_set(struct layer *l, const struct quota *q, struct err *e);
/* NULL, LAYER_NONE: nothing to do. */
void layer_close(struct layer *l);

/* The hard limits of an id on the file system of a directory; type: of quotactl(2). */
int quota_limit(int dir, unsigned type, uint32_t id, const struct quota *q);

#endif
