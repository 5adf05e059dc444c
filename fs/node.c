/* Nodes: found, looked at, made, removed, renamed: see node.h. */
#include "fs/node.h"

#include <errno.h>
#include <string.h>

#include "fs/daemon.h"
#include "fs/object_priv.h"

/* ---- found ---- */

uint64_t node_ino(struct node n)
{
	return n.object->id << INO_HASH_BITS | (n.file ? n.file->hash : 0);
}

int node_find(struct daemon *d, uint64_t ino, struct node *ret)
{
	struct object *o = object_find(d, ino >> INO_HASH_BITS);
	uint32_t hash = ino & INO_HASH_MASK;

	if (!o)
		return -ESTALE;
	*ret = (struct node){ .object = o };
	for (size_t i = 0; hash && i < o->class->nfiles; i++)
		if (o->class->files[i].hash == hash)
			ret->file = &o->class->files[i];
	return hash && !ret->file ? -ESTALE : 0;
}

struct node node_up(struct node n)
{
	if (n.file)
		return node_of(n.object);
	return n.object->parent ? (struct node){ n.object->parent, n.object->in } : n;
}

int node_lookup(struct node dir, const char *name, struct caller who, struct node *ret)
{
	struct object *child;

	if (dir.object->gone)
		return -ESTALE;
	child = object_child_in(dir.object, dir.file, name);
	if (child && child->unborn && who.helper)
		return -ENOENT;
	if (child) {
		*ret = node_of(child);
		return 0;
	}
	if (dir.file)
		return -ENOENT;
	*ret = (struct node){ dir.object, class_file(dir.object->class, name) };
	return ret->file ? 0 : -ENOENT;
}

const char *node_name(struct node n)
{
	return n.file ? n.file->name : n.object->name;
}

/* ---- looked at ---- */

/* A counter changes without a word: when it is looked at, it is compared with the last look. */
static void node_compare(struct node n, const struct text *content)
{
	uint32_t hash = text_hash(text_str(content));
	struct file_time *t = time_find(n.object, n.file);
	bool first = !t;

	if ((t = time_of(n.object, n.file))) {
		if (!first && t->content != hash)
			t->time = daemon_now(n.object->daemon);
		t->content = hash;
	}
}

static off_t node_size(struct node n)
{
	struct text t = TEXT_INIT;
	off_t size;

	if (n.file->kind == FILE_LOG)
		return n.file->log_size(n.object, n.file);
	if (!n.file->show)
		return 0;
	n.file->show(n.object, n.file, &t);
	size = (off_t)t.len;
	if (!n.file->changes)
		node_compare(n, &t);
	text_free(&t);
	return size;
}

static struct timespec node_time(struct node n)
{
	const struct file_time *t;

	if (!n.file)
		return n.object->listed;
	t = time_find(n.object, n.file);
	return t ? t->time : n.object->made;
}

/* A directory's links: itself, its name, and each directory in it. */
static nlink_t node_links(struct node n)
{
	const struct object *o = n.object;
	nlink_t links = 2 + o->nchildren - o->nparts + o->class->ndirs;

	if (!n.file)
		return links;
	links = 2;
	for (size_t i = 0; i < o->nchildren; i++)
		links += node_holds(n, o->children[i]);
	return links;
}

void node_stat(struct node n, struct stat *st)
{
	struct owner own = node_owner(n);
	off_t size = node_is_dir(n) ? 0 : node_size(n); /* first: looking may move the time */
	struct timespec time = node_time(n);

	*st = (struct stat){
		.st_ino = node_ino(n),
		.st_mode = own.mode,
		.st_uid = own.uid,
		.st_gid = own.gid,
		.st_nlink = 1,
		.st_blksize = 4096,
		.st_atim = time,
		.st_mtim = time,
		.st_ctim = time,
	};
	if (node_is_dir(n)) {
		st->st_mode |= S_IFDIR;
		st->st_nlink = node_links(n);
		return;
	}
	st->st_mode |= n.file->kind == FILE_LINK ? S_IFLNK : S_IFREG;
	st->st_size = size;
	st->st_blocks = (st->st_size + 511) / 512;
}

unsigned node_keep(struct node n)
{
	struct object *o = n.object;
	uint64_t bit, *loose;

	if (!n.file)
		return node_lasts(n) ? KEEP_FOREVER : 0;
	/* The answer to a poke comes right behind a change, and is not ours to take back. */
	if (!n.file->changes || n.file->event_index >= 0)
		return 0;
	bit = 1ULL << n.file->index % 64;
	loose = &o->loose[n.file->index / 64];
	if (!(*loose & bit)) {
		o->told[n.file->index / 64] |= bit;
		return KEEP_S;
	}
	if (now_s() >= o->kept_until)
		*loose &= ~bit;
	return 0;
}

int node_readlink(struct node n, struct text *out)
{
	if (!n.file || n.file->kind != FILE_LINK)
		return -EINVAL;
	n.file->show(n.object, n.file, out);
	return 0;
}

/* ---- made, removed, renamed ---- */

/* The refusal of an operation on a name belongs to the directory that would have held it. */
static int dir_refuse(struct node dir, const struct err *e)
{
	object_refuse(dir.object, e);
	return e->code;
}

int node_forbid(struct node dir, const char *what, const char *name)
{
	struct err e = { 0 };

	if (dir.object->gone)
		return -ESTALE;
	err_set(&e, -EPERM, "%s %.64s: files come and go with their directory", what, name);
	return dir_refuse(dir, &e);
}

/* To the helper, one that the daemon has made by itself is new. */
static struct object *node_unborn(struct node dir, const char *name, struct caller who)
{
	struct object *o = object_child_in(dir.object, dir.file, name);

	if (!o || !o->unborn || !who.helper)
		return NULL;
	o->unborn = false;
	return o;
}

static int name_check(struct node dir, const char *name, struct err *e)
{
	if (object_name_valid(name))
		return 0;
	return err_set(e, -EINVAL,
		       "%s: \"%.80s\" is not a name: 1 to 63 of letters, digits, '.', '_' and '-', "
		       "beginning with a letter or digit",
		       node_name(dir), name);
}

static int node_make(struct node dir, const char *name, struct caller who, mode_t mode,
		     struct object **ret, struct err *e)
{
	struct object *o = dir.object;
	bool can = dir.file ? dir.file->mkdir != NULL : o->class->mkdir != NULL;

	if (!can)
		return err_set(e, -EPERM,
			       "mkdir %.64s: nothing can be made here; machines are made in vm/ "
			       "and in container/",
			       name);
	if (name_check(dir, name, e) < 0)
		return e->code;
	if (object_child_in(o, dir.file, name))
		return err_set(e, -EEXIST, "%s/%s exists", node_name(dir), name);
	return dir.file ? dir.file->mkdir(o, dir.file, name, who, mode, ret, e)
			: o->class->mkdir(o, name, who, mode, ret, e);
}

int node_mkdir(struct node dir, const char *name, struct caller who, mode_t mode, struct node *ret)
{
	struct err e = { 0 };
	struct object *o;

	if (dir.object->gone)
		return -ESTALE;
	o = node_unborn(dir, name, who);
	if (!o && who.helper)
		return -ENOENT; /* it has gone again meanwhile */
	if (!o && node_make(dir, name, who, mode, &o, &e) < 0)
		return dir_refuse(dir, &e);
	*ret = node_of(o);
	return 0;
}

/* NULL: what *ret_rc says. */
static struct object *node_victim(struct node dir, const char *name, struct caller who, int *ret_rc)
{
	struct object *o = object_child_in(dir.object, dir.file, name);

	if (o || dir.object->gone)
		*ret_rc = -ESTALE;
	else if (dir.file)
		/* The daemon has removed it, and the helper comes to tell the kernel. */
		*ret_rc = who.helper ? 0 : -ENOENT;
	else
		*ret_rc = class_file(dir.object->class, name) ? -ENOTDIR : -ENOENT;
	return o;
}

static int node_take(struct object *o, struct request *r, struct err *e)
{
	if (o->class->rmdir)
		return o->class->rmdir(o, r->who, e);
	if (!o->class->unplug)
		return err_set(e, -EPERM, "%s is part of the tree", o->name);
	/* The helper tells the kernel of what has gone; this is there, perhaps again. */
	return r->who.helper ? -EBUSY : o->class->unplug(o, r, e);
}

static int node_rmdir_by(struct node dir, const char *name, struct request *r)
{
	const struct file *f = dir.file ? NULL : class_file(dir.object->class, name);
	struct err e = { 0 };
	struct object *o;
	int rc;

	if (f && f->kind == FILE_DIR) {
		err_set(&e, -EPERM, "%s is part of the tree", name);
		return dir_refuse(dir, &e);
	}
	o = node_victim(dir, name, r->who, &rc);
	if (!o)
		return rc;
	rc = node_take(o, r, &e);
	if (rc == -EPERM)
		return dir_refuse(dir, &e);
	if (rc < 0 && !r->who.helper)
		object_refuse(o, &e);
	return rc;
}

static void request_nobody(struct request *r, int result)
{
}

int node_rmdir(struct node dir, const char *name, struct caller who)
{
	struct request r = { .who = who, .answer = request_nobody };
	int rc = node_rmdir_by(dir, name, &r);

	if (rc == NODE_PARKED)
		r.cancel(&r);
	return rc;
}

int node_remove(struct node dir, const char *name, struct request *r)
{
	int rc = node_rmdir_by(dir, name, r);

	if (rc != NODE_PARKED)
		request_finish(r, rc, NULL);
	return rc;
}

int node_rename(struct node from, const char *name, struct node to, const char *new_name)
{
	struct object *o = object_child_in(from.object, from.file, name);
	bool here = from.object == to.object && from.file == to.file;
	struct err e = { 0 };
	int rc;

	if (from.object->gone || to.object->gone)
		return -ESTALE;
	if (!o && (from.file || !class_file(from.object->class, name)))
		return -ENOENT;
	if (!o || !o->class->rename || !here)
		rc = err_set(&e, -EPERM,
			     "mv %.64s: only a machine or a part of it can be renamed, in its "
			     "place",
			     name);
	else if (!strcmp(name, new_name))
		return 0;
	else if (name_check(to, new_name, &e) < 0)
		rc = e.code;
	else if (object_child_in(to.object, to.file, new_name))
		rc = err_set(&e, -EEXIST, "%s/%s exists", node_name(to), new_name);
	else
		rc = o->class->rename(o, new_name, &e);
	return rc < 0 ? dir_refuse(from, &e) : 0;
}
