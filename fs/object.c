/* Objects, their classes, and what changes of them: see object.h. */
#include "fs/object.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "fs/daemon.h"
#include "fs/object_priv.h"
#include "fs/poker.h"

/* ---- classes ---- */

/* FNV-1a */
uint32_t text_hash(const char *text)
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

/* ---- the tree of them ---- */

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

/* The directory's entries have changed. */
void dir_list(struct node dir)
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

void object_unref(struct object *o)
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

struct object *object_find(const struct daemon *d, uint64_t id)
{
	struct object key = { .id = id };
	struct object **found = tfind(&key, &d->by_id, compare_ids);

	return found ? *found : NULL;
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

struct file_time *time_find(const struct object *o, const struct file *f)
{
	for (size_t i = 0; i < o->ntimes; i++)
		if (o->times[i].file == f)
			return &o->times[i];
	return NULL;
}

/* NULL: no memory; the file's time then stays what it was. */
struct file_time *time_of(struct object *o, const struct file *f)
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

/* What the kernel keeps of a file is taken back, if it keeps anything. */
void file_invalidate(struct object *o, const struct file *f)
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

void file_changed(struct object *o, const struct file *f)
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

/* ---- refusals ---- */

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
