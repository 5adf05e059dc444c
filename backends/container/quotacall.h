/*
 * quotactl(2) as a process of a container calls it: what it asks for, and whether that is granted.
 *
 * Nothing here makes a system call, and all that comes in is anybody's: arguments, the text of
 * /proc/PID/status, ids. quotaserver.h reads these and does what was asked.
 *
 * Granted is a short list: limits, use and grace periods, by number or from one to the next. What a
 * limit is held against is counted and not said, so QIF_SPACE and QIF_INODES are not among them,
 * nor is turning quotas on or off.
 */
#ifndef BACKENDS_CONTAINER_QUOTACALL_H
#define BACKENDS_CONTAINER_QUOTACALL_H

#include <linux/quota.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sock_fprog;

/*
 * The filter that makes a process's calls wait for an answer: native ones of quotactl(2), no other.
 * It lives for ever.
 */
const struct sock_fprog *quotacall_filter(void);

/* ---- what is asked ---- */

union quotacall_data {
	uint32_t format;
	struct if_dqinfo info;
	struct if_dqblk block;
	struct if_nextdqblk next;
};

struct quotacall {
	unsigned op;	    /* Q_SYNC, Q_GETFMT ... */
	unsigned type;	    /* USRQUOTA or GRPQUOTA */
	uint32_t id;	    /* inside */
	uint64_t special;   /* where in the caller's memory the device's name is, */
	uint64_t data;	    /* and what goes in or out, */
	size_t size;	    /* which is so long */
	bool reads, writes; /* the data, from the caller's side: it is given, it is answered */
	bool has_id;
};

/* From a call's arguments; or -EPERM, -EINVAL, -ESRCH (projects), as the kernel has them. */
int quotacall_decode(const uint64_t args[4], struct quotacall *ret);
/* Whether what came with it may be set: -EPERM. */
int quotacall_check(const struct quotacall *c, const union quotacall_data *data);

/* ---- whose ids are whose ---- */

/* The ids that there are inside, and which they are outside. */
struct quota_ids {
	struct quota_id_range {
		uint32_t inside, outside, count;
	} * list; /* by `inside` */
	size_t n;
	bool disk_inside; /* files on the disk belong to ids inside, else to those outside */
};

/* map: lines of uid_map; NULL: all that there are, themselves. -ENOMEM, or -EINVAL. */
int quota_ids_init(struct quota_ids *ids, const char *map, bool disk_inside);
void quota_ids_free(struct quota_ids *ids);
/* False: there is no such id inside. */
bool quota_ids_outside(const struct quota_ids *ids, uint32_t inside, uint32_t *ret);
/*
 * The first id inside that is not below `from`, and how many follow it (it included) that follow it
 * on the disk, too: *ret_disk is whose files it has there.
 */
bool quota_ids_next(const struct quota_ids *ids, uint32_t from, uint32_t *ret_inside,
		    uint32_t *ret_disk, uint32_t *ret_count);

/* ---- who asks ---- */

struct quota_caller {
	uint32_t uid, gid; /* effective, outside */
	uint64_t capabilities;
	const char *groups; /* numbers; in the text */
	bool at_home;	    /* in the container's own user namespace, not in one below; the caller's
			       to find out */
};

/* False: that is no such text, or more than was read of it. */
bool quota_caller_parse(const char *status, struct quota_caller *ret);

/*
 * 0, or -EPERM. All is granted to the container's root: uid 0 inside, in the container's own user
 * namespace, with all the capabilities that the container was given, whichever these are. So a
 * service that was left root's name and not its powers has none here either. Who is not root reads
 * what is his own, as everywhere.
 */
int quotacall_grant(const struct quotacall *c, const struct quota_caller *who,
		    const struct quota_ids ids[2], uint64_t capabilities);

#endif
