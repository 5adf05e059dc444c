/* The node layer: see node.h. */
#include "fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/daemon.h"
#include "fs/poker.h"

#define INO_HASH_BITS 24
#define INO_HASH_MASK ((1u << INO_HASH_BITS) - 1)
#define KEEP_S	      10	    /* seconds for which a file's attributes may be kept */
#define LOG_READ_MAX  (128u * 1024) /* bytes of a log in one answer */

/* ---- classes ---- */

/* FNV-1a */
static uint32_t text_hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* Folded; never 0, which stands for the directory itself. */
static uint32_t name_hash(const char *name)
{
	uint32_t h = text_hash(name);

	h = (h >> INO_HASH_BITS ^ h) & INO_HASH_MASK;
	return h ? h : 1;
}

int class_finish(struct class *c)
{
	int events = 0;

	c->ndirs = 0;
	for (size_t i = 0; i < c->nfiles; i++) {
		struct file *f = &c->files[i];

		f->hash = name_hash(f->name);
		f->index = (uint32_t)i;
		f->event_index = f->event ? events++ : -1;
		c->ndirs += f->kind == FILE_DIR;
		for (size_t j = 0; j < i; j++)
			if (c->files[j].hash == f->hash)
				return -EINVAL;
	}
	return events <= EVENT_FILES_MAX && c->nfiles <= FILES_MAX ? 0 : -EINVAL;
}

const struct file *class_file(const struct class *c, const char *name)
{
	for (size_t i = 0; i < c->nfiles; i++)
		if (!strcmp(c->files[i].name, name))
			return &c->files[i];
	return NULL;
}

/* ---- objects ---- */

static int compare_names(const void *x, const void *y)
{
	const struct object *a = x, *b = y;

	if (a->in != b->in)
		return (uintptr_t)a->in < (uintptr_t)b->in ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare_ids(const void *x, const void *y)
{
	uint64_t a = ((const struct object *)x)->id, b = ((const struct object *)y)->id;

	return a < b ? -1 : a > b;
}

/* Children are in the order of their ids, which is a directory's order for readdir. */
static int children_add(struct object *parent, struct object *o)
{
	struct object **grown = parent->children;
	size_t n = parent->nchildren;

	if ((n & (n - 1)) == 0) {
		grown = realloc(grown, (n ? 2 * n : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		parent->children = grown;
	}
	if (!tsearch(o, &parent->by_name, compare_names))
		return -ENOMEM;
	for (; n > 0 && grown[n - 1]->id > o->id; n--)
		grown[n] = grown[n - 1];
	grown[n] = o;
	parent->nchildren++;
	parent->nparts += !!o->in;
	return 0;
}

static void children_remove(struct object *parent, struct object *o)
{
	size_t i = 0;

	tdelete(o, &parent->by_name, compare_names);
	while (parent->children[i] != o)
		i++;
	parent->nparts -= !!o->in;
	memmove(&parent->children[i], &parent->children[i + 1],
		(--parent->nchildren - i) * sizeof(*parent->children));
}

static void file_changed(struct object *o, const struct file *f);

/* The directory's entries have changed. */
static void dir_list(struct node dir)
{
	if (dir.file)
		file_changed(dir.object, dir.file);
	else
		dir.object->listed = daemon_now(dir.object->daemon);
}

int object_init(struct object *o, struct daemon *d, const struct class *c, struct object *parent,
		uint64_t id, const char *name, struct err *e)
{
	o->daemon = d;
	o->class = c;
	o->parent = parent;
	o->id = id;
	o->owner.mode = c->mode;
	o->follows = o->in;
	o->made = o->listed = daemon_now(d);
	o->refs = 1;
	LIST_INIT(&o->handles);
	TAILQ_INIT(&o->waiters);
	o->name = strdup(name);
	if (!o->name || !tsearch(o, &d->by_id, compare_ids))
		goto fail;
	if (parent && children_add(parent, o) < 0) {
		tdelete(o, &d->by_id, compare_ids);
		goto fail;
	}
	if (parent)
		dir_list((struct node){ parent, o->in });
	return 0;
fail:
	free(o->name);
	o->name = NULL;
	return err_sys(e, ENOMEM, "%s", name);
}

static void object_unref(struct object *o)
{
	if (--o->refs > 0)
		return;
	free(o->name);
	free(o->overrides);
	free(o->times);
	free(o->children);
	text_free(&o->refusal);
	o->class->free(o);
}

void object_remove(struct object *o)
{
	struct handle *h;

	while (o->nchildren)
		object_remove(o->children[o->nchildren - 1]);
	tdelete(o, &o->daemon->by_id, compare_ids);
	if (o->parent) {
		children_remove(o->parent, o);
		dir_list((struct node){ o->parent, o->in });
	}
	o->gone = true;
	LIST_FOREACH(h, &o->handles, link)
	if (h->poll)
		o->daemon->front->poll_wake(h->poll);
	object_unref(o);
}

struct object *object_child(const struct object *o, const char *name)
{
	return object_child_in(o, NULL, name);
}

struct object *object_child_in(const struct object *o, const struct file *in, const char *name)
{
	struct object key = { .name = (char *)name, .in = in };
	struct object **found = tfind(&key, &o->by_name, compare_names);

	return found ? *found : NULL;
}

void object_path(const struct object *o, struct text *out)
{
	if (!o->parent)
		return;
	object_path(o->parent, out);
	if (o->parent->parent)
		text_add(out, "/");
	if (o->in)
		text_addf(out, "%s/", o->in->name);
	text_add(out, o->name);
}

/* ---- what changes ---- */

static struct file_time *time_find(const struct object *o, const struct file *f)
{
	for (size_t i = 0; i < o->ntimes; i++)
		if (o->times[i].file == f)
			return &o->times[i];
	return NULL;
}

/* NULL: no memory; the file's time then stays what it was. */
static struct file_time *time_of(struct object *o, const struct file *f)
{
	struct file_time *t = time_find(o, f);

	if (t)
		return t;
	t = realloc(o->times, (o->ntimes + 1) * sizeof(*t));
	if (!t)
		return NULL;
	o->times = t;
	t += o->ntimes++;
	*t = (struct file_time){ .file = f, .time = o->made };
	return t;
}

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/* What the kernel keeps of a file is taken back, if it keeps anything. */
static void file_invalidate(struct object *o, const struct file *f)
{
	uint64_t bit = 1ULL << f->index % 64, *told = &o->told[f->index / 64];

	o->loose[f->index / 64] |= bit;
	if (!(*told & bit))
		return;
	*told &= ~bit;
	o->kept_until = now_s() + KEEP_S + 2;
	if (o->daemon->front)
		o->daemon->front->invalidate(o->daemon->front, node_ino((struct node){ o, f }));
}

/* Nobody can watch a file that the kernel does not know. */
static void file_poke(struct object *o, const struct file *f)
{
	struct text path = TEXT_INIT;

	if (!o->daemon->poker || !o->known[f->event_index])
		return;
	object_path(o, &path);
	text_addf(&path, o->parent ? "/%s" : "%s", f->name);
	poker_poke(o->daemon->poker, text_str(&path));
	text_free(&path);
}

int object_set_name(struct object *o, const char *name, struct err *e)
{
	char *copy = strdup(name);

	if (!copy)
		return err_sys(e, ENOMEM, "%s", name);
	tdelete(o, &o->parent->by_name, compare_names);
	free(o->name);
	o->name = copy;
	/* tdelete has just freed a node of the same size. */
	tsearch(o, &o->parent->by_name, compare_names);
	dir_list(node_of(o));
	dir_list((struct node){ o->parent, o->in });
	/* What the helper has not done yet it would look for under the old name. */
	for (size_t i = 0; i < o->class->nfiles; i++)
		if (o->class->files[i].event_index >= 0)
			file_poke(o, &o->class->files[i]);
	return 0;
}

static void file_changed(struct object *o, const struct file *f)
{
	struct file_time *t = time_of(o, f);
	struct handle *h;

	if (t)
		t->time = daemon_now(o->daemon);
	file_invalidate(o, f);
	if (f->event_index < 0 || o->gone)
		return;
	o->version[f->event_index]++;
	LIST_FOREACH(h, &o->handles, link)
	if (h->file == f && h->poll)
		o->daemon->front->poll_wake(h->poll);
	file_poke(o, f);
}

void object_changed(struct object *o, const char *name)
{
	const struct file *f = class_file(o->class, name);

	if (f)
		file_changed(o, f);
}

void object_changed_by(struct object *o, unsigned changes)
{
	for (size_t i = 0; i < o->class->nfiles; i++)
		if (o->class->files[i].changes & changes)
			file_changed(o, &o->class->files[i]);
}

void object_vanish(struct object *o)
{
	struct text path = TEXT_INIT;

	object_path(o, &path);
	for (size_t i = 0; i < o->class->nfiles; i++)
		file_invalidate(o, &o->class->files[i]);
	/* With the helper's rmdir the kernel forgets the name, which leads nowhere already. */
	if (o->daemon->poker)
		poker_remove(o->daemon->poker, text_str(&path));
	text_free(&path);
	object_remove(o);
}

/* To the helper's mkdir there is no such name, until it has made it. */
void object_appear(struct object *o)
{
	struct text path = TEXT_INIT;

	if (!o->daemon->poker)
		return;
	o->unborn = true;
	object_path(o, &path);
	poker_make(o->daemon->poker, text_str(&path));
	text_free(&path);
}

void object_inherit(struct object *o)
{
	for (size_t i = 0; i < o->class->nfiles; i++) {
		const struct file *f = &o->class->files[i];

		o->told[f->index / 64] |= 1ULL << f->index % 64;
		file_invalidate(o, f);
		if (f->event_index >= 0) {
			o->known[f->event_index] = 1;
			file_poke(o, f);
		}
	}
	for (size_t i = 0; i < o->nchildren; i++)
		object_inherit(o->children[i]);
}

/* The nearest one that has an `error` file. */
static struct object *object_error(struct object *o)
{
	while (o->parent && !class_file(o->class, "error"))
		o = o->parent;
	return o;
}

void object_refuse(struct object *o, const struct err *e)
{
	o = object_error(o);
	text_clear(&o->refusal);
	text_addf(&o->refusal, "%s %s\n", err_name(e->code), e->text);
	object_changed_by(o, CHANGE_REFUSAL);
}

void object_show_refusal(struct object *o, const struct file *f, struct text *out)
{
	text_add(out, text_str(&o->refusal));
}

void object_refuse_all(struct object *o, const char *lines)
{
	o = object_error(o);
	text_clear(&o->refusal);
	text_add(&o->refusal, lines);
	object_changed_by(o, CHANGE_REFUSAL);
}

/* ---- nodes ---- */

uint64_t node_ino(struct node n)
{
	return n.object->id << INO_HASH_BITS | (n.file ? n.file->hash : 0);
}

struct object *object_find(const struct daemon *d, uint64_t id)
{
	struct object key = { .id = id };
	struct object **found = tfind(&key, &d->by_id, compare_ids);

	return found ? *found : NULL;
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

struct owner node_owner(struct node n)
{
	struct owner own = n.object->owner, above;

	for (size_t i = 0; n.file && i < n.object->noverrides; i++)
		if (n.object->overrides[i].file == n.file)
			return n.object->overrides[i].owner;
	if (n.object->follows) {
		above = node_owner(node_up(node_of(n.object)));
		own.uid = above.uid;
		own.gid = above.gid;
	}
	if (n.file)
		own.mode = n.file->mode;
	return own;
}

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

static struct owner *override_of(struct node n)
{
	struct object *o = n.object;
	struct owner_override *grown;

	for (size_t i = 0; i < o->noverrides; i++)
		if (o->overrides[i].file == n.file)
			return &o->overrides[i].owner;
	grown = realloc(o->overrides, (o->noverrides + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	o->overrides = grown;
	grown[o->noverrides] = (struct owner_override){ n.file, node_owner(n) };
	return &grown[o->noverrides++].owner;
}

/* The kernel takes what SETATTR answers for the node itself; of the others it must be told. */
static void file_owned(struct node n)
{
	struct file_time *t = time_of(n.object, n.file);

	if (t)
		t->time = daemon_now(n.object->daemon);
	file_invalidate(n.object, n.file);
}

/* Files that have no owner of their own have the directory's; so have objects in FILE_DIRs. */
static void dir_owned(struct object *o)
{
	dir_list(node_of(o));
	for (size_t i = 0; i < o->class->nfiles; i++)
		file_invalidate(o, &o->class->files[i]);
	for (size_t i = 0; o->nparts && i < o->nchildren; i++)
		if (o->children[i]->in)
			dir_owned(o->children[i]);
}

static const char *node_name(struct node n)
{
	return n.file ? n.file->name : n.object->name;
}

static int node_may_chown(struct node n, int what, const struct owner *owner, struct caller who,
			  struct err *e)
{
	struct owner own = node_owner(n);

	if (who.uid != 0 && who.uid != own.uid)
		return err_set(e, -EPERM, "%s: it belongs to user %u", node_name(n), own.uid);
	if (who.uid != 0 && (what & NODE_SET_UID) && owner->uid != own.uid)
		return err_set(e, -EPERM, "%s: only root gives it to another user", node_name(n));
	if ((what & NODE_SET_MODE) && owner->mode & ~(node_is_dir(n) ? 01777u : 0666u))
		return err_set(e, -EPERM, "%s: mode %o is not possible here", node_name(n),
			       owner->mode);
	return 0;
}

static struct owner owner_change(struct owner own, int what, const struct owner *to)
{
	if (what & NODE_SET_MODE)
		own.mode = to->mode;
	if (what & NODE_SET_UID)
		own.uid = to->uid;
	if (what & NODE_SET_GID)
		own.gid = to->gid;
	return own;
}

/*
 * Files go with their directory, also those that have a mode of their own: who had it before keeps
 * nothing. What belonged to somebody else, to whom it was delegated, stays his.
 */
static void owner_follow(struct owner *own, struct owner from, struct owner to)
{
	if (own->uid == from.uid)
		own->uid = to.uid;
	if (own->gid == from.gid)
		own->gid = to.gid;
}

static void files_follow(struct object *o, struct owner from, struct owner to)
{
	for (size_t i = 0; i < o->noverrides; i++)
		owner_follow(&o->overrides[i].owner, from, to);
	for (size_t i = 0; o->nparts && i < o->nchildren; i++)
		if (o->children[i]->in) {
			owner_follow(&o->children[i]->owner, from, to);
			files_follow(o->children[i], from, to);
		}
}

/* What files_follow() may change, to go back to. */
static void owners_save(const struct object *o, struct text *out)
{
	text_add_bytes(out, &o->owner, sizeof(o->owner));
	if (o->noverrides)
		text_add_bytes(out, o->overrides, o->noverrides * sizeof(*o->overrides));
	for (size_t i = 0; o->nparts && i < o->nchildren; i++)
		if (o->children[i]->in)
			owners_save(o->children[i], out);
}

/* Returns what is behind o's. */
static const char *owners_restore(struct object *o, const char *from)
{
	size_t size = o->noverrides * sizeof(*o->overrides);

	memcpy(&o->owner, from, sizeof(o->owner));
	from += sizeof(o->owner);
	if (size)
		memcpy(o->overrides, from, size);
	from += size;
	for (size_t i = 0; o->nparts && i < o->nchildren; i++)
		if (o->children[i]->in)
			from = owners_restore(o->children[i], from);
	return from;
}

static int node_commit_owner(struct node n, struct owner *own, struct owner next, struct err *e)
{
	struct object *o = n.object;
	struct text before = TEXT_INIT;
	struct owner was = node_owner(n);
	bool follows = o->follows;
	int rc;

	owners_save(o, &before);
	if (text_failed(&before)) {
		text_free(&before);
		return err_sys(e, ENOMEM, "%s", o->name);
	}
	*own = next;
	if (!n.file) {
		o->follows = follows && next.uid == was.uid && next.gid == was.gid;
		files_follow(o, was, next);
	}
	rc = o->class->chown ? o->class->chown(o, e) : 0;
	if (rc < 0) {
		owners_restore(o, text_str(&before));
		o->follows = follows;
	}
	text_free(&before);
	return rc;
}

int node_chown(struct node n, int what, const struct owner *owner, struct caller who, struct err *e)
{
	size_t overrides = n.object->noverrides;
	struct owner *own, next;
	int rc = node_may_chown(n, what, owner, who, e);

	if (rc < 0)
		return rc;
	next = owner_change(node_owner(n), what, owner);
	own = n.file ? override_of(n) : &n.object->owner;
	if (!own)
		return err_sys(e, ENOMEM, "%s", n.object->name);
	rc = node_commit_owner(n, own, next, e);
	/* Also without an override, if there was none: it follows the directory again. */
	if (rc < 0)
		n.object->noverrides = overrides;
	else if (n.file)
		file_owned(n);
	else
		dir_owned(n.object);
	return rc;
}

void node_set_owner(struct node n, const struct owner *owner)
{
	struct owner *own = n.file ? override_of(n) : &n.object->owner;

	if (own)
		*own = *owner;
	if (!n.file)
		n.object->follows = false;
}

int node_readlink(struct node n, struct text *out)
{
	if (!n.file || n.file->kind != FILE_LINK)
		return -EINVAL;
	n.file->show(n.object, n.file, out);
	return 0;
}

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

/* ---- handles ---- */

int node_open(struct node n, int flags, struct caller who, struct handle **ret)
{
	int access = flags & O_ACCMODE;
	struct err e = { 0 };
	struct handle *h;

	if (node_is_dir(n))
		return -EISDIR;
	/* Modes are the kernel's business, but root passes them all. */
	if (access != O_RDONLY && !n.file->write) {
		err_set(&e, -EPERM, "%s: cannot be written", n.file->name);
		object_refuse(n.object, &e);
		return -EPERM;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOSPC;
	h->object = n.object;
	h->file = n.file;
	h->flags = flags;
	h->who = who;
	h->owner = node_owner(n).uid;
	h->object->refs++;
	LIST_INSERT_HEAD(&n.object->handles, h, link);
	if (n.file->event_index >= 0)
		h->seen = n.object->version[n.file->event_index];
	*ret = h;
	return 0;
}

/*
 * An NFS client takes what it has written for what the file says, until the file changes once
 * more: "64M" for "67108864". A change that it sees with the reply to its write it takes for its
 * own; so one comes later.
 */
static void handle_restate(struct handle *h)
{
	if (h->restated && !h->object->gone)
		file_changed(h->object, h->file);
	h->restated = false;
}

/*
 * A change of owner ends what others have open: a machine that was handed over is not to be
 * commanded, with its new owner's rights, through what the old one has kept.
 */
static int handle_may(const struct handle *h, struct err *e)
{
	uid_t owner = node_owner((struct node){ h->object, h->file }).uid;

	if (owner == h->owner || h->who.uid == owner || h->who.uid == 0)
		return 0;
	return err_set(e, -EACCES, "%s: it belongs to user %u now; user %u has opened it before",
		       h->file->name, owner, h->who.uid);
}

void handle_close(struct handle *h)
{
	if (handle_may(h, NULL) < 0)
		text_clear(&h->draft); /* not to be committed */
	if (h->file->release && !h->object->gone)
		h->file->release(h);
	handle_restate(h);
	LIST_REMOVE(h, link);
	if (h->poll)
		h->object->daemon->front->poll_free(h->poll);
	text_free(&h->text);
	text_free(&h->draft);
	free(h->refusal);
	object_unref(h->object);
	free(h);
}

static void handle_render(struct handle *h)
{
	text_clear(&h->text);
	if (h->refusal && (h->flags & O_ACCMODE) == O_RDWR)
		text_add(&h->text, h->refusal);
	else if (h->file->show)
		h->file->show(h->object, h->file, &h->text);
	h->rendered = true;
	if (h->file->event_index >= 0)
		h->seen = h->object->version[h->file->event_index];
}

static ssize_t handle_read_log(struct handle *h, size_t size, off_t at, const char **ret_data)
{
	const off_t end = h->file->log_size(h->object, h->file); // first: meanwhile it grows
	ssize_t n;
	char *room;

	text_clear(&h->text);
	room = text_room(&h->text, size);
	if (!room)
		return -ENOSPC;
	n = h->file->log_read(h->object, h->file, room, size, at);
	/* Who reads from behind the end has seen what is before it. */
	if (n > 0 || (n == 0 && size > 0))
		h->read_end = n == 0 && at > end ? end : at + n;
	*ret_data = room;
	return n;
}

ssize_t handle_read(struct handle *h, size_t size, off_t at, const char **ret_data)
{
	size_t left;

	if (h->object->gone)
		return -ESTALE;
	if (handle_may(h, NULL) < 0)
		return -EACCES;
	if (h->file->kind == FILE_LOG)
		return handle_read_log(h, size < LOG_READ_MAX ? size : LOG_READ_MAX, at, ret_data);
	if (at == 0 || !h->rendered)
		handle_render(h);
	if (text_failed(&h->text))
		return -ENOSPC;
	if (at < 0 || (size_t)at >= h->text.len)
		return 0;
	left = h->text.len - (size_t)at;
	*ret_data = h->text.data + at;
	return (ssize_t)(size < left ? size : left);
}

static void handle_refuse(struct handle *h, const struct err *e, bool noted)
{
	char line[sizeof(e->text) + 16];

	snprintf(line, sizeof(line), "%s %s\n", err_name(e->code), e->text);
	free(h->refusal);
	h->refusal = strdup(line);
	if (!h->object->gone && !noted)
		object_refuse(h->object, e);
}

void request_finish(struct request *r, int rc, const struct err *e)
{
	r->cancel = NULL;
	if (rc < 0 && r->handle) {
		handle_refuse(r->handle, e, r->noted);
	} else if (r->handle && r->len) {
		free(r->handle->refusal);
		r->handle->refusal = NULL;
	}
	free(r->rest);
	r->rest = NULL;
	r->answer(r, rc < 0 ? rc : (int)r->len);
}

void handle_orphan(struct handle *h)
{
	h->orphan = true;
	if (h->file->event_index >= 0)
		h->seen--;
}

/* A file that commits later may have collected a part that is lost; a beginning is a new one. */
static int handle_adopt(struct handle *h, bool begins, struct err *e)
{
	if (!h->orphan || !h->file->flush)
		return 0;
	if (!begins)
		return err_set(
			e, -EIO,
			"%s: the daemon was killed, and what was written before may be lost; "
			"write it anew",
			h->file->name);
	h->orphan = false;
	return 0;
}

static bool handle_says(struct handle *h, const char *data, size_t len)
{
	struct text said = TEXT_INIT;
	bool same;

	if (!h->file->show)
		return false;
	h->file->show(h->object, h->file, &said);
	same = said.len == len && !memcmp(text_str(&said), data, len);
	text_free(&said);
	return same;
}

int handle_write(struct handle *h, struct request *r, const char *data, size_t len, off_t at)
{
	struct err e = { 0 };
	int rc;

	r->handle = h;
	r->len = len;
	if (h->object->gone)
		rc = err_set(&e, -ESTALE, "%s: the object was removed", h->file->name);
	else if (len == 0)
		rc = 0;
	else if ((rc = handle_may(h, &e)) == 0 && (rc = handle_adopt(h, at == 0, &e)) == 0)
		rc = h->file->write(h, r, data, len, &e);
	if (len > 0 && rc >= 0)
		h->restated = !handle_says(h, data, len);
	if (rc != NODE_PARKED)
		request_finish(r, rc, &e);
	return rc;
}

int handle_flush(struct handle *h, struct request *r)
{
	struct err e = { 0 };
	int rc = 0;

	r->handle = h;
	r->len = 0;
	if (!h->object->gone && h->file->flush && handle_may(h, NULL) == 0 &&
	    (rc = handle_adopt(h, false, &e)) == 0)
		rc = h->file->flush(h, r, &e);
	handle_restate(h);
	if (rc != NODE_PARKED)
		request_finish(r, rc, &e);
	return rc;
}

unsigned handle_poll(struct handle *h, void *poll)
{
	unsigned events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	struct object *o = h->object;

	if (h->poll)
		o->daemon->front->poll_free(h->poll);
	h->poll = poll;
	if (o->gone)
		return POLLERR | POLLHUP;
	/* A log is readable when there is more of it, or less: its older half has gone; the rest
	 * answers as sysfs does. */
	if (h->file->kind == FILE_LOG && h->file->log_size(o, h->file) == h->read_end)
		events &= ~(unsigned)(POLLIN | POLLRDNORM);
	if (h->file->event_index >= 0 && h->file->kind != FILE_LOG &&
	    h->seen != o->version[h->file->event_index])
		events |= POLLPRI | POLLERR;
	return events;
}
