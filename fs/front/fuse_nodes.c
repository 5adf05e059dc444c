/* What is asked of names and directories: see fuse_priv.h. */
#include "fs/front/fuse_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Directory offsets: the position behind an entry. Children go by their ids, which last. */
#define OFF_DOT	     1
#define OFF_DOTDOT   2
#define OFF_FILES    3
#define OFF_CHILDREN (1LL << 32)

/*
 * What the kernel keeps. Entries, and all that a directory has, change only by operations of the
 * kernel's own, which knows what they change; so it keeps them for ever. What a file has, its
 * length above all, it keeps as node_keep() says, and only what GETATTR has said: an invalidation
 * that overtakes any other answer would be lost, since the kernel does not know the node yet, or
 * does not compare.
 */

/*
 * Another node id for one inode number: each look-up of a file whose writes may be parked gets
 * its own, since the kernel holds a node's lock during a write (see struct file). Its lower
 * bits number the look-up in place of the file: a class has one such file.
 */
#define ALIAS_BIT  (1ULL << 63)
#define ALIAS_BITS 24
#define ALIAS_MASK ((1ULL << ALIAS_BITS) - 1)

/* ---- nodes ---- */

static uint64_t alias_new(struct fuse_front *f, struct node n)
{
	return ALIAS_BIT | n.object->id << ALIAS_BITS | (f->next_alias++ & ALIAS_MASK);
}

static int alias_node(struct fuse_front *f, uint64_t id, struct node *ret)
{
	int rc = node_find(f->daemon, (id & ~ALIAS_BIT) >> ALIAS_BITS << ALIAS_BITS, ret);

	for (size_t i = 0; rc == 0 && i < ret->object->class->nfiles; i++)
		if (ret->object->class->files[i].parks)
			ret->file = &ret->object->class->files[i];
	return rc;
}

int front_node(struct fuse_front *f, fuse_ino_t id, struct node *ret)
{
	f->daemon->stats.requests++;
	if (id == FUSE_ROOT_ID) {
		*ret = (struct node){ .object = f->daemon->root };
		return 0;
	}
	return id & ALIAS_BIT ? alias_node(f, id, ret) : node_find(f->daemon, id, ret);
}

int front_dir(struct fuse_front *f, fuse_ino_t id, struct node *ret)
{
	int rc = front_node(f, id, ret);

	return rc == 0 && !node_is_dir(*ret) ? -ENOTDIR : rc;
}

/* What LOOKUP and READDIRPLUS tell; the kernel then knows the node until it forgets it. */
static void front_entry(struct fuse_front *f, struct node n, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ .entry_timeout = KEEP_FOREVER,
					  .attr_timeout = node_lasts(n) ? KEEP_FOREVER : 0 };
	node_stat(n, &ret->attr);
	ret->ino = ret->attr.st_ino;
	if (n.object == f->daemon->root && !n.file)
		ret->ino = FUSE_ROOT_ID;
	if (n.file && n.file->parks) {
		ret->ino = alias_new(f, n);
		ret->entry_timeout = 0;
	}
	if (n.file && n.file->event_index >= 0)
		n.object->known[n.file->event_index]++;
}

static void reply_entry(fuse_req_t req, int rc, struct node n)
{
	struct fuse_entry_param entry;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	front_entry(req_front(req), n, &entry);
	fuse_reply_entry(req, &entry);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_front *f = req_front(req);
	struct node n = { 0 };
	int rc = front_node(f, parent, &n);

	if (rc == 0 && !strcmp(name, "..")) /* knfsd rebuilds paths with these two */
		n = node_up(n);
	else if (rc == 0 && strcmp(name, "."))
		rc = node_is_dir(n) ? node_lookup(n, name, req_caller(req), &n) : -ENOTDIR;
	reply_entry(req, rc, n);
}

static void front_forget(struct fuse_front *f, fuse_ino_t id, uint64_t count)
{
	struct node n;

	if (front_node(f, id, &n) == 0 && n.file && n.file->event_index >= 0) {
		uint32_t *known = &n.object->known[n.file->event_index];

		*known -= count < *known ? (uint32_t)count : *known;
	}
}

void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
	front_forget(req_front(req), id, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		front_forget(req_front(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct node n;
	int rc = front_node(req_front(req), id, &n);
	struct stat st;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, node_keep(n));
}

/* Truncation and times mean nothing here: they are accepted, since shells and editors do both. */
void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct owner owner = { attr->st_uid, attr->st_gid, attr->st_mode & 07777 };
	struct err e = { 0 };
	struct stat st;
	struct node n;
	int rc = front_node(req_front(req), id, &n);
	int what = (to_set & FUSE_SET_ATTR_MODE ? NODE_SET_MODE : 0) |
		   (to_set & FUSE_SET_ATTR_UID ? NODE_SET_UID : 0) |
		   (to_set & FUSE_SET_ATTR_GID ? NODE_SET_GID : 0);

	if (rc == 0 && what) {
		rc = node_chown(n, what, &owner, req_caller(req), &e);
		if (rc < 0)
			object_refuse(n.object, &e);
	}
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, node_lasts(n) ? KEEP_FOREVER : 0);
}

void op_readlink(fuse_req_t req, fuse_ino_t id)
{
	struct text target = TEXT_INIT;
	struct node n;
	int rc = front_node(req_front(req), id, &n);

	if (rc == 0)
		rc = node_readlink(n, &target);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_readlink(req, text_str(&target));
	text_free(&target);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node dir, n = { 0 };
	int rc = front_dir(req_front(req), parent, &dir);

	if (rc == 0)
		rc = node_mkdir(dir, name, req_caller(req), mode, &n);
	reply_entry(req, rc, n);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags)
{
	struct node from, to = { 0 };
	int rc = front_dir(req_front(req), parent, &from);

	if (rc == 0)
		rc = front_dir(req_front(req), new_parent, &to);
	if (rc == 0 && flags & ~(unsigned)RENAME_NOREPLACE)
		rc = -EINVAL;
	fuse_reply_err(req, -(rc < 0 ? rc : node_rename(from, name, to, new_name)));
}

/* Files come and go with their object; nobody makes or removes one. */
static void front_forbid(fuse_req_t req, fuse_ino_t parent, const char *what, const char *name)
{
	struct node dir;
	int rc = front_dir(req_front(req), parent, &dir);

	fuse_reply_err(req, -(rc < 0 ? rc : node_forbid(dir, what, name)));
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	front_forbid(req, parent, "mknod", name);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	front_forbid(req, parent, "create", name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "rm", name);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "ln", name);
}

void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "ln", name);
}

/* ---- directories ---- */

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
};

/* False: the buffer is full. */
static bool listing_add(struct listing *l, const char *name, struct node n, off_t next)
{
	struct fuse_entry_param entry = { 0 };
	size_t len;

	/* What the kernel is to look up by itself has no node id: these two, and `wait`. */
	if (!l->plus || name[0] == '.' || (n.file && n.file->parks)) {
		entry.attr.st_ino = node_ino(n);
		entry.attr.st_mode = node_is_dir(n)		 ? S_IFDIR
				     : n.file->kind == FILE_LINK ? S_IFLNK
								 : S_IFREG;
	}
	if (!l->plus) {
		len = fuse_add_direntry(l->req, l->buf + l->used, l->size - l->used, name,
					&entry.attr, next);
	} else {
		/* Asked first whether it fits: an entry that is told counts as a look-up. */
		len = fuse_add_direntry_plus(l->req, NULL, 0, name, NULL, 0);
		if (len <= l->size - l->used) {
			if (!entry.attr.st_ino)
				front_entry(req_front(l->req), n, &entry);
			fuse_add_direntry_plus(l->req, l->buf + l->used, l->size - l->used, name,
					       &entry, next);
		}
	}
	if (len > l->size - l->used)
		return false;
	l->used += len;
	return true;
}

/* The first child whose id is above `id`. */
static size_t children_after(const struct object *o, uint64_t id)
{
	size_t low = 0, high = o->nchildren;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (o->children[middle]->id > id)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void listing_fill(struct listing *l, struct node self, off_t off)
{
	const struct object *dir = self.object;
	size_t nfiles = self.file ? 0 : dir->class->nfiles;

	if (off < OFF_DOT && !listing_add(l, ".", self, OFF_DOT))
		return;
	if (off < OFF_DOTDOT && !listing_add(l, "..", node_up(self), OFF_DOTDOT))
		return;
	for (off_t i = off < OFF_FILES ? 0 : off - OFF_FILES + 1;
	     i < (off_t)nfiles && off < OFF_CHILDREN; i++) {
		struct node n = { self.object, &dir->class->files[i] };

		if (!listing_add(l, n.file->name, n, OFF_FILES + i))
			return;
	}
	for (size_t i =
		     children_after(dir, off < OFF_CHILDREN ? 0 : (uint64_t)(off - OFF_CHILDREN));
	     i < dir->nchildren; i++) {
		struct node n = node_of(dir->children[i]);

		if (node_holds(self, n.object) &&
		    !listing_add(l, n.object->name, n, OFF_CHILDREN + (off_t)n.object->id))
			return;
	}
}

/*
 * The kernel needs no handle of a directory and keeps its listing: see above. After this answer
 * it does not ask again.
 */
void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

static void front_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, bool plus)
{
	struct listing l = { .req = req, .size = size < 65536 ? size : 65536, .plus = plus };
	struct node dir;
	int rc = front_dir(req_front(req), id, &dir);

	l.buf = rc < 0 ? NULL : malloc(l.size);
	if (!l.buf) {
		fuse_reply_err(req, rc < 0 ? -rc : ENOSPC);
		return;
	}
	listing_fill(&l, dir, off);
	fuse_reply_buf(req, l.buf, l.used);
	free(l.buf);
}

void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, true);
}
