/* Quotas of users inside: see userquota.h. */
#include "backends/container/userquota.h"

#include <errno.h>
#include <linux/quota.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/container/usermap.h"

static const struct sort {
	const char *name;
	unsigned type; /* of quotactl(2) */
	size_t offset;
} sorts[] = {
	{ "quota.user", USRQUOTA, offsetof(struct container_config, quota_user) },
	{ "quota.group", GRPQUOTA, offsetof(struct container_config, quota_group) },
};
#define SORTS (sizeof(sorts) / sizeof(sorts[0]))

static const struct keyed *lines(const struct container_config *c, const struct sort *s)
{
	static const struct keyed none = { 0 };

	return c ? (const struct keyed *)((const char *)c + s->offset) : &none;
}

static const char *line_of(const struct keyed *k, const char *key)
{
	for (size_t i = 0; i < k->n; i++)
		if (!strcmp(k->entries[i].key, key))
			return k->entries[i].value;
	return NULL;
}

bool userquota_wanted(const struct container_config *c)
{
	return c->quota_user.n || c->quota_group.n || c->quota_delegate;
}

int userquota_check(const struct container_config *c, bool overlay, struct err *e)
{
	if (userquota_wanted(c) && !overlay)
		return err_set(e, -EINVAL,
			       "quota.user, quota.group and quota.delegate are of an overlay, and "
			       "root.writable is another");
	if (c->quota_delegate && (c->quota_user.n || c->quota_group.n))
		return err_set(e, -EINVAL,
			       "%s: with quota.delegate these are the container's root's to set",
			       c->quota_user.n ? "quota.user" : "quota.group");
	return 0;
}

/* ---- ids ---- */

/* Which id files on the disk have that are id's inside: false, it has none. */
static bool id_on_disk(const struct layer *l, const struct sort *s, uint32_t id, uint32_t *ret)
{
	const char *map = s->type == USRQUOTA ? l->uids : l->gids;

	*ret = id;
	return !map || usermap_outside(map, id, ret);
}

static int check_ids(const struct layer *l, const struct container_config *c, struct err *e)
{
	uint32_t id;

	for (const struct sort *s = sorts; s < sorts + SORTS; s++) {
		const struct keyed *k = lines(c, s);

		for (size_t i = 0; i < k->n; i++)
			if (!id_on_disk(l, s, (uint32_t)strtoul(k->entries[i].key, NULL, 10), &id))
				return err_set(e, -EINVAL,
					       "%s: the container's user namespace has no id %s",
					       s->name, k->entries[i].key);
	}
	return 0;
}

/* ---- limits ---- */

static uint64_t limit(const char *words, const char *name)
{
	const char *at = words ? strstr(words, name) : NULL;

	return !at || at[strlen(name)] == 'm' ? LIMIT_MAX : strtoull(at + strlen(name), NULL, 10);
}

/* words NULL: no limit. */
static int set_one(const struct layer *l, const struct sort *s, const char *key, const char *words)
{
	struct quota q = { .bytes = limit(words, "bytes="), .inodes = limit(words, "inodes=") };
	uint32_t id;

	if (!id_on_disk(l, s, (uint32_t)strtoul(key, NULL, 10), &id))
		return 0;
	return quota_limit(l->dir, s->type, id, &q);
}

/* What an earlier run has left. */
static int forget_all(const struct layer *l, const struct sort *s)
{
	const struct quota none = { LIMIT_MAX, LIMIT_MAX };
	struct if_nextdqblk next;
	uint32_t id = 0;
	int rc = 0;

	while (rc == 0 && syscall(SYS_quotactl_fd, l->dir, QCMD((unsigned)Q_GETNEXTQUOTA, s->type),
				  id, &next) == 0) {
		if (next.dqb_bhardlimit || next.dqb_ihardlimit)
			rc = quota_limit(l->dir, s->type, next.dqb_id, &none);
		if (next.dqb_id == UINT32_MAX)
			break;
		id = next.dqb_id + 1;
	}
	return rc;
}

/*
 * From now on limits count; the file system counts what is used from its beginning. Those that the
 * container's root has set are there as it left them.
 */
static int turn_on(const struct layer *l, const struct sort *s, bool delegate, struct err *e)
{
	const char *name = delegate ? "quota.delegate" : s->name;
	int rc = 0;

	if (syscall(SYS_quotactl_fd, l->dir, QCMD((unsigned)Q_QUOTAON, s->type), 0, NULL) == 0)
		rc = delegate ? 0 : forget_all(l, s);
	else if (errno == ENOSYS || errno == ESRCH || errno == EINVAL)
		return err_set(e, -ENXIO,
			       "%s: the layer's file system was made without quotas of users, "
			       "since the kernel had none (CONFIG_QFMT_V2)",
			       name);
	else if (errno != EEXIST)
		rc = -errno;
	return rc < 0 ? err_sys(e, -rc, "%s", name) : 0;
}

static int change(const struct layer *l, const struct sort *s, const struct keyed *from,
		  const struct keyed *to)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < from->n; i++)
		if (!line_of(to, from->entries[i].key))
			rc = set_one(l, s, from->entries[i].key, NULL);
	for (size_t i = 0; rc == 0 && i < to->n; i++) {
		const char *was = line_of(from, to->entries[i].key);

		if (!was || strcmp(was, to->entries[i].value) != 0)
			rc = set_one(l, s, to->entries[i].key, to->entries[i].value);
	}
	return rc;
}

int userquota_set(const struct layer *l, const struct container_config *from,
		  const struct container_config *to, struct err *e)
{
	int rc;

	if (!userquota_wanted(to) && (!from || !userquota_wanted(from)))
		return 0;
	if (l->disk < 0)
		return err_set(e, -EBUSY,
			       "%s: quotas of users need a file system of the layer's own, which "
			       "is made at the container's first start",
			       to->quota_delegate ? "quota.delegate"
			       : to->quota_user.n ? "quota.user"
						  : "quota.group");
	rc = check_ids(l, to, e);
	for (const struct sort *s = sorts; rc == 0 && s < sorts + SORTS; s++) {
		if (to->quota_delegate || lines(to, s)->n)
			rc = turn_on(l, s, to->quota_delegate, e);
		if (rc == 0 && (rc = change(l, s, lines(from, s), lines(to, s))) < 0)
			err_sys(e, -rc, "%s", s->name);
	}
	if (rc < 0 && from)
		for (const struct sort *s = sorts; s < sorts + SORTS; s++)
			change(l, s, lines(to, s), lines(from, s));
	return rc < 0 ? rc : 0;
}

/* ---- use ---- */

static void show_one(const struct layer *l, const struct sort *s, const char *key, struct text *out)
{
	struct if_dqblk used = { 0 };
	uint32_t id;

	if (id_on_disk(l, s, (uint32_t)strtoul(key, NULL, 10), &id) &&
	    syscall(SYS_quotactl_fd, l->dir, QCMD((unsigned)Q_GETQUOTA, s->type), id, &used) == 0)
		text_addf(out, "%s %s bytes=%llu inodes=%llu\n", s->name + strlen("quota."), key,
			  (unsigned long long)used.dqb_curspace,
			  (unsigned long long)used.dqb_curinodes);
}

void userquota_show(const struct layer *l, const struct container_config *c, struct text *out)
{
	struct statfs fs;

	if (fstatfs(l->dir, &fs) == 0)
		text_addf(out, "all bytes=%llu inodes=%llu\n",
			  (unsigned long long)(fs.f_blocks - fs.f_bfree) *
				  (unsigned long long)fs.f_bsize,
			  (unsigned long long)(fs.f_files - fs.f_ffree));
	for (const struct sort *s = sorts; s < sorts + SORTS; s++)
		for (size_t i = 0; i < lines(c, s)->n; i++)
			show_one(l, s, lines(c, s)->entries[i].key, out);
}
