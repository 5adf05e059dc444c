/* The FUSE front: see fuse.h. Each operation is a few lines around the node layer's. */
#define FUSE_USE_VERSION 314

#include "fs/fuse.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/node.h"

/* Directory offsets: the position behind an entry. Children go by their ids, which last. */
#define OFF_DOT	     1
#define OFF_DOTDOT   2
#define OFF_FILES    3
#define OFF_CHILDREN (1LL << 32)

struct fuse_front {
	struct front front; /* first */
	struct daemon *daemon;
	struct fuse_session *session;
	struct event *readable;
	struct fuse_buf buf;
	bool mounted;
	void *aliases; /* tsearch tree of struct alias */
	uint64_t next_alias;
};

/*
 * Another node id for one inode number: each look-up of a file whose writes may be parked gets
 * its own, since the kernel holds a node's lock during a write (see struct file).
 */
struct alias {
	uint64_t id;
	uint64_t ino;
};

/*
 * How long the kernel may keep what it was told, in seconds. Entries, and all that a directory
 * has, change only by operations of the kernel's own, which knows what they change; so it keeps
 * them. What a file has, its length above all, it keeps until it is told otherwise, and only
 * what GETATTR has said: an invalidation that overtakes any other answer would be lost, since
 * the kernel does not know the node yet, or does not compare.
 */
#define KEPT 1e9

#define ALIAS_BIT (1ULL << 63)

struct fuse_request {
	struct request request; /* first */
	fuse_req_t req;
	bool is_write;
};

static struct fuse_front *req_front(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct caller req_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct caller){ ctx->uid, ctx->gid };
}

/* ---- nodes ---- */

static int compare_aliases(const void *x, const void *y)
{
	uint64_t a = ((const struct alias *)x)->id, b = ((const struct alias *)y)->id;

	return a < b ? -1 : a > b;
}

static uint64_t alias_new(struct fuse_front *f, uint64_t ino)
{
	struct alias *a = malloc(sizeof(*a));

	if (!a)
		return 0;
	*a = (struct alias){ ALIAS_BIT | f->next_alias++, ino };
	if (!tsearch(a, &f->aliases, compare_aliases)) {
		free(a);
		return 0;
	}
	return a->id;
}

static int front_node(struct fuse_front *f, fuse_ino_t id, struct node *ret)
{
	f->daemon->stats.requests++;
	if (id == FUSE_ROOT_ID) {
		*ret = (struct node){ .object = f->daemon->root };
		return 0;
	}
	if (id & ALIAS_BIT) {
		struct alias key = { .id = id },
			     **found = tfind(&key, &f->aliases, compare_aliases);

		if (!found)
			return -ESTALE;
		id = (*found)->ino;
	}
	return node_find(f->daemon, id, ret);
}

static int front_dir(struct fuse_front *f, fuse_ino_t id, struct object **ret)
{
	struct node n;
	int rc = front_node(f, id, &n);

	if (rc == 0 && n.file)
		rc = -ENOTDIR;
	if (rc == 0)
		*ret = n.object;
	return rc;
}

/* What LOOKUP and READDIRPLUS tell; the kernel then knows the node until it forgets it. */
static int front_entry(struct fuse_front *f, struct node n, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){ .entry_timeout = KEPT,
					  .attr_timeout = n.file ? 0 : KEPT };
	node_stat(n, &ret->attr);
	ret->ino = ret->attr.st_ino;
	if (n.object == f->daemon->root && !n.file)
		ret->ino = FUSE_ROOT_ID;
	if (n.file && n.file->parks) {
		ret->ino = alias_new(f, ret->attr.st_ino);
		ret->entry_timeout = 0;
	}
	if (!ret->ino)
		return -ENOSPC;
	if (n.file && n.file->event_index >= 0)
		n.object->known[n.file->event_index]++;
	return 0;
}

static void reply_entry(fuse_req_t req, int rc, struct node n)
{
	struct fuse_entry_param entry;

	if (rc == 0)
		rc = front_entry(req_front(req), n, &entry);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_entry(req, &entry);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_front *f = req_front(req);
	struct node n = { 0 };
	int rc = front_node(f, parent, &n);

	if (rc == 0 && !strcmp(name, "..")) /* knfsd rebuilds paths with these two */
		n = (struct node){ .object = n.object->parent ? n.object->parent : n.object };
	else if (rc == 0 && strcmp(name, "."))
		rc = n.file ? -ENOTDIR : node_lookup(n.object, name, &n);
	reply_entry(req, rc, n);
}

static void front_forget(struct fuse_front *f, fuse_ino_t id, uint64_t count)
{
	struct node n;

	if (id & ALIAS_BIT) {
		struct alias key = { .id = id },
			     **found = tfind(&key, &f->aliases, compare_aliases);
		struct alias *a = found ? *found : NULL;

		if (a) {
			tdelete(a, &f->aliases, compare_aliases);
			free(a);
		}
		return;
	}
	if (front_node(f, id, &n) == 0 && n.file && n.file->event_index >= 0) {
		uint32_t *known = &n.object->known[n.file->event_index];

		*known -= count < *known ? (uint32_t)count : *known;
	}
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
	front_forget(req_front(req), id, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		front_forget(req_front(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct node n;
	int rc = front_node(req_front(req), id, &n);
	struct stat st;

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, node_keep(n) ? KEPT : 0);
}

/* Truncation and times mean nothing here: they are accepted, since shells and editors do both. */
static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
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
		rc = node_chown(n, what, &owner, &e);
		if (rc < 0)
			object_refuse(n.object, &e);
	}
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	node_stat(n, &st);
	fuse_reply_attr(req, &st, n.file ? 0 : KEPT);
}

static void op_readlink(fuse_req_t req, fuse_ino_t id)
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

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_front *f = req_front(req);
	struct object *dir = NULL;
	struct node n = { 0 };
	int rc = front_dir(f, parent, &dir);

	if (rc == 0)
		rc = node_mkdir(dir, name, req_caller(req), mode, &n);
	reply_entry(req, rc, n);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct object *dir = NULL;
	int rc = front_dir(req_front(req), parent, &dir);

	fuse_reply_err(req, -(rc < 0 ? rc : node_rmdir(dir, name)));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct object *from = NULL, *to = NULL;
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
	struct object *dir = NULL;
	int rc = front_dir(req_front(req), parent, &dir);

	fuse_reply_err(req, -(rc < 0 ? rc : node_forbid(dir, what, name)));
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	front_forbid(req, parent, "mknod", name);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	front_forbid(req, parent, "create", name);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "rm", name);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	front_forbid(req, parent, "ln", name);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
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
		entry.attr.st_mode = !n.file			 ? S_IFDIR
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
			if (!entry.attr.st_ino && front_entry(req_front(l->req), n, &entry) < 0)
				return false;
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

static void listing_fill(struct listing *l, struct object *dir, off_t off)
{
	struct node self = { .object = dir };
	struct node up = { .object = dir->parent ? dir->parent : dir };

	if (off < OFF_DOT && !listing_add(l, ".", self, OFF_DOT))
		return;
	if (off < OFF_DOTDOT && !listing_add(l, "..", up, OFF_DOTDOT))
		return;
	for (off_t i = off < OFF_FILES ? 0 : off - OFF_FILES + 1;
	     i < (off_t)dir->class->nfiles && off < OFF_CHILDREN; i++) {
		struct node n = { dir, &dir->class->files[i] };

		if (!listing_add(l, n.file->name, n, OFF_FILES + i))
			return;
	}
	for (size_t i =
		     children_after(dir, off < OFF_CHILDREN ? 0 : (uint64_t)(off - OFF_CHILDREN));
	     i < dir->nchildren; i++) {
		struct node n = { .object = dir->children[i] };

		if (!listing_add(l, n.object->name, n, OFF_CHILDREN + (off_t)n.object->id))
			return;
	}
}

/*
 * The kernel needs no handle of a directory and keeps its listing: see KEPT. After this answer
 * it does not ask again.
 */
static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	fuse_reply_err(req, ENOSYS);
}

static void front_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off, bool plus)
{
	struct listing l = { .req = req, .size = size < 65536 ? size : 65536, .plus = plus };
	struct object *dir = NULL;
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

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	front_readdir(req, id, size, off, true);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct handle *h;
	struct node n;
	int rc = front_node(req_front(req), id, &n);

	if (rc == 0)
		rc = node_open(n, fi->flags, req_caller(req), &h);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->fh = (uint64_t)(uintptr_t)h;
	fi->direct_io = 1; /* the length is what a read returns, whatever was cached */
	fi->noflush = !n.file->flush;
	if (fuse_reply_open(req, fi) < 0)
		handle_close(h); /* the client was interrupted: there will be no release */
}

static struct handle *fi_handle(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const char *data = NULL;
	ssize_t n = handle_read(fi_handle(fi), size, off, &data);

	req_front(req)->daemon->stats.requests++;
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, data, (size_t)n);
}

static void request_answer(struct request *request, int result)
{
	struct fuse_request *r = (struct fuse_request *)request;

	if (result < 0)
		fuse_reply_err(r->req, -result);
	else if (r->is_write)
		fuse_reply_write(r->req, (size_t)result);
	else
		fuse_reply_err(r->req, 0);
	free(r);
}

/* A signal for the client: the request is taken back. Also called at once for a late comer. */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct fuse_request *r = arg;

	if (!r->request.cancel)
		return;
	r->request.cancel(&r->request);
	free(r->request.rest);
	fuse_reply_err(req, EINTR);
	free(r);
}

static struct fuse_request *request_new(fuse_req_t req, bool is_write)
{
	struct fuse_request *r = calloc(1, sizeof(*r));

	if (!r) {
		fuse_reply_err(req, ENOSPC);
		return NULL;
	}
	r->req = req;
	r->is_write = is_write;
	r->request.who = req_caller(req);
	r->request.answer = request_answer;
	req_front(req)->daemon->stats.requests++;
	return r;
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct fuse_request *r = request_new(req, true);

	if (r && handle_write(fi_handle(fi), &r->request, data, size, off) == NODE_PARKED)
		fuse_req_interrupt_func(req, on_interrupt, r);
}

static void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct fuse_request *r = request_new(req, false);

	if (r)
		handle_flush(fi_handle(fi), &r->request);
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	handle_close(fi_handle(fi));
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0); /* a write that was acknowledged is on disk */
}

static void op_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi,
		    struct fuse_pollhandle *ph)
{
	fuse_reply_poll(req, handle_poll(fi_handle(fi), ph));
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & FUSE_CAP_EXPORT_SUPPORT;
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static const struct fuse_lowlevel_ops front_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.create = op_create,
	.opendir = op_opendir,
	.poll = op_poll,
};

/* ---- what the node layer asks of its front ---- */

static void poll_wake(void *poll)
{
	fuse_lowlevel_notify_poll(poll);
}

static void poll_free(void *poll)
{
	fuse_pollhandle_destroy(poll);
}

/* Attributes only, which takes no lock that a request of ours could be waiting under. */
static void invalidate(const struct front *front, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(((const struct fuse_front *)front)->session, ino, -1, 0);
}

/* ---- life ---- */

static void on_readable(int fd, short what, void *arg)
{
	struct fuse_front *f = arg;
	int n;

	while ((n = fuse_session_receive_buf(f->session, &f->buf)) > 0)
		fuse_session_process_buf(f->session, &f->buf);
	if ((n < 0 && n != -EAGAIN && n != -EINTR) || n == 0 || fuse_session_exited(f->session)) {
		event_base_loopbreak(f->daemon->loop);
	}
}

/*
 * A daemon that was killed leaves a mount on which everything fails; but for what the kernel
 * has kept, so it is made to ask.
 */
static int front_clear(const char *mountpoint, struct err *e)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) < 0 &&
	    errno == ENOTCONN)
		umount2(mountpoint, MNT_DETACH);
	if (statx(AT_FDCWD, mountpoint, 0, STATX_TYPE, &st) < 0)
		return err_sys(e, errno, "%s: cannot be mounted", mountpoint);
	if (!S_ISDIR(st.stx_mode))
		return err_set(e, -EINVAL, "%s: cannot be mounted: not a directory", mountpoint);
	return 0;
}

/* So that no host path is followed into it, where only we could answer. */
static void front_know(struct fuse_front *f, const char *mountpoint)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
		f->daemon->own_dev = makedev(st.stx_dev_major, st.stx_dev_minor);
}

static int front_mount(struct fuse_front *f, const char *mountpoint, const char *options,
		       struct err *e)
{
	const char *all = geteuid() == 0 ? ",allow_other" : "";
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char opts[4096];
	int fd;

	snprintf(opts, sizeof(opts),
		 "-ofsname=machinefs,subtype=machinefs,default_permissions%s%s%s", all,
		 options ? "," : "", options ? options : "");
	if (fuse_opt_add_arg(&args, "machinefs") < 0 || fuse_opt_add_arg(&args, opts) < 0)
		return err_sys(e, ENOMEM, "mount");
	f->session = fuse_session_new(&args, &front_ops, sizeof(front_ops), f);
	fuse_opt_free_args(&args);
	if (!f->session)
		return err_set(e, -EINVAL, "mount: the options \"%s\" are not accepted",
			       options ? options : "");
	if (front_clear(mountpoint, e) < 0)
		return e->code;
	if (fuse_session_mount(f->session, mountpoint) < 0)
		return err_set(e, -EIO,
			       "%s: cannot be mounted; is /dev/fuse there, and may "
			       "you open it?",
			       mountpoint);
	f->mounted = true;
	front_know(f, mountpoint);
	fd = fuse_session_fd(f->session);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return err_sys(e, errno, "mount");
	f->readable = event_new(f->daemon->loop, fd, EV_READ | EV_PERSIST, on_readable, f);
	if (!f->readable || event_add(f->readable, NULL) < 0)
		return err_sys(e, ENOMEM, "mount");
	return 0;
}

int fuse_front_new(struct daemon *d, const char *mountpoint, const char *options,
		   struct fuse_front **ret, struct err *e)
{
	struct fuse_front *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_sys(e, ENOMEM, "mount");
	f->daemon = d;
	f->next_alias = 1;
	f->front = (struct front){ poll_wake, poll_free, invalidate };
	d->front = &f->front;
	rc = front_mount(f, mountpoint, options, e);
	if (rc < 0) {
		fuse_front_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void fuse_front_free(struct fuse_front *f)
{
	if (!f)
		return;
	daemon_release(f->daemon);
	f->daemon->front = NULL;
	if (f->readable)
		event_free(f->readable);
	if (f->session) {
		/* Also where somebody else has unmounted it: libfuse sees that by itself. */
		if (f->mounted)
			fuse_session_unmount(f->session);
		fuse_session_destroy(f->session);
	}
	while (f->aliases) {
		struct alias *a = *(struct alias **)f->aliases;

		tdelete(a, &f->aliases, compare_aliases);
		free(a);
	}
	free(f->buf.mem);
	free(f);
}
