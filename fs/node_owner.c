/* Whose nodes are, and how they are given to somebody else: see node.h; chown(2), chmod(2). */
#include "fs/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/daemon.h"
#include "fs/object_priv.h"

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
