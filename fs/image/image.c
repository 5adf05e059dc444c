/* struct image: making, naming, keeping, finding again; see image.h. */
#include "fs/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "fs/attr/rows.h"
#include "fs/daemon.h"
#include "fs/image/importer.h"
#include "fs/machine/machine.h"
#include "fs/machine/waiter.h"
#include "fs/store/event_log.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

const char *const image_state_words[IMAGE_STATES] = {
	[IMAGE_EMPTY] = "empty",
	[IMAGE_IMPORTING] = "importing",
	[IMAGE_READY] = "ready",
	[IMAGE_FAILED] = "failed",
};

static int state_now(const struct object *o)
{
	return (int)((const struct image *)o)->state;
}

static bool state_rests(const struct object *o)
{
	return ((const struct image *)o)->state != IMAGE_IMPORTING;
}

const struct states image_states = {
	.noun = "image",
	.words = image_state_words,
	.count = IMAGE_STATES,
	.now = state_now,
	.rests = state_rests,
	.ends = 1u << IMAGE_EMPTY | 1u << IMAGE_READY | 1u << IMAGE_FAILED,
};

int image_dir(const struct image *i)
{
	int fd = openat(i->object.daemon->image_fd, i->object.name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* ---- what is durable ---- */

static void image_print(const struct image *i, struct text *out)
{
	text_addf(out, "state %s\nread %" PRIu64 " %" PRIu64 "\n", image_state_words[i->state],
		  i->read, i->all);
	rows_print(&image_schema, &i->settings, out);
	rows_print(&image_found_schema, &i->found, out);
	text_add(out, "end\n");
}

int image_save(struct image *i, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc;

	image_print(i, &text);
	rc = kept_write(image_dir(i), "image", &text, e);
	text_free(&text);
	return rc;
}

static void read_state(struct image *i, const char *word, size_t len)
{
	for (int s = 0; s < IMAGE_STATES; s++)
		if (strlen(image_state_words[s]) == len && !memcmp(image_state_words[s], word, len))
			i->state = (enum image_state)s;
}

/* What is no number is none. */
static void read_progress(struct image *i, const char *line)
{
	char *end;

	i->read = strtoull(line, &end, 10);
	i->all = strtoull(end, NULL, 10);
}

/* One line NAME VALUE. What another version has written is passed over. */
static int read_line(struct image *i, const char *line, size_t len, struct err *e)
{
	int rc;

	if (len > 6 && !memcmp(line, "state ", 6)) {
		read_state(i, line + 6, len - 6);
		return 0;
	}
	if (len > 5 && !memcmp(line, "read ", 5)) {
		read_progress(i, line + 5);
		return 0;
	}
	rc = rows_read(&image_schema, &i->settings, line, len, e);
	if (rc == 0)
		rc = rows_read(&image_found_schema, &i->found, line, len, e);
	return rc < 0 ? err_prefix(e, "image ") : 0;
}

static int image_read(struct image *i, int dir, struct err *e)
{
	struct text text = TEXT_INIT;
	const char *p;
	int rc = store_read(dir, "image", &text);

	if (rc < 0)
		err_sys(e, -rc, "image on disk");
	p = text_str(&text);
	if (rc == 0 && (text.len < 4 || strcmp(p + text.len - 4, "end\n")))
		rc = err_set(e, -EIO, "image on disk: its end is missing");
	for (; rc == 0 && strcmp(p, "end\n"); p += strcspn(p, "\n") + 1)
		rc = read_line(i, p, strcspn(p, "\n"), e);
	text_free(&text);
	return rc;
}

/* ---- making and removing ---- */

void image_drop_progress(struct image *i, bool keep)
{
	if (!i->progress)
		return;
	if (keep) {
		i->read = atomic_load(&i->progress->done);
		i->all = atomic_load(&i->progress->all);
	}
	munmap(i->progress, sizeof(*i->progress));
	i->progress = NULL;
}

void image_free(struct object *o)
{
	struct image *i = object_image(o);

	image_drop_progress(i, false);
	event_log_free(i->object.events);
	schema_free(&image_schema, &i->settings);
	schema_free(&image_found_schema, &i->found);
	identity_free(&i->identity);
	free(i);
}

static struct image *image_new(struct err *e)
{
	struct image *i = calloc(1, sizeof(*i));

	if (!i || schema_init(&image_schema, &i->settings, e) < 0) {
		free(i);
		return NULL;
	}
	if (schema_init(&image_found_schema, &i->found, e) < 0) {
		schema_free(&image_schema, &i->settings);
		free(i);
		return NULL;
	}
	return i;
}

static int image_insert(struct image *i, struct daemon *d, uint64_t id, const char *name,
			struct err *e)
{
	i->object.identity = &i->identity;
	i->object.events = event_log_of(d->events, id);
	if (!i->object.events)
		return err_sys(e, ENOMEM, "%s", name);
	return object_init(&i->object, d, &d->classes[CLASS_IMAGE], d->images, id, name, e);
}

static int image_store(struct image *i, struct err *e)
{
	struct text meta = TEXT_INIT, text = TEXT_INIT;
	int fd = -1, rc = 0;

	meta_print(&i->object, &i->identity, &meta);
	image_print(i, &text);
	if (text_failed(&meta) || text_failed(&text))
		rc = err_sys(e, ENOMEM, "meta");
	if (rc == 0)
		rc = store_make(i->object.daemon->image_fd, i->object.name, &meta, "image", &text,
				&fd, e);
	if (fd >= 0)
		close(fd);
	text_free(&meta);
	text_free(&text);
	return rc;
}

int image_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
		struct object **ret, struct err *e)
{
	struct daemon *d = parent->daemon;
	struct image *i = image_new(e);
	uint64_t id = i ? daemon_new_id(d, e) : 0;
	int rc;

	if (!i)
		return err_sys(e, ENOMEM, "%s", name);
	rc = id ? image_insert(i, d, id, name, e) : e->code;
	if (rc < 0) {
		image_free(&i->object);
		return rc;
	}
	identity_make(&i->identity);
	i->object.owner = (struct owner){ who.uid, who.gid, mode & 01777 };
	rc = image_store(i, e);
	if (rc < 0) {
		object_remove(&i->object);
		return rc;
	}
	kept_event(&i->object, "created", "");
	*ret = &i->object;
	return 0;
}

static int check_unused(const struct image *i, struct err *e)
{
	struct text users = TEXT_INIT;
	int rc = 0;

	image_users(i, &users);
	for (size_t n = 0; n < users.len; n++)
		if (users.data[n] == '\n')
			users.data[n] = n + 1 < users.len ? ' ' : '\0';
	if (users.len)
		rc = err_set(e, -EBUSY, "%s is the root of %.300s", i->object.name,
			     text_str(&users));
	text_free(&users);
	return rc;
}

int image_rmdir(struct object *o, struct caller who, struct err *e)
{
	struct image *i = object_image(o);
	struct daemon *d = o->daemon;
	char hidden[64];
	int rc = check_unused(i, e);

	if (rc < 0)
		return rc;
	if (i->importer)
		return err_set(e, -EBUSY, "the image is at work; cancel it first");
	snprintf(hidden, sizeof(hidden), STORE_REMOVED "%s", i->identity.uuid);
	rc = store_hide(d->image_fd, o->name, hidden, e);
	if (rc < 0)
		return rc;
	importer_remove(d, d->image_fd, hidden);
	waiters_fail(o);
	kept_event(o, "removed", "");
	object_remove(o);
	return 0;
}

int image_rename(struct object *o, const char *name, struct err *e)
{
	struct image *i = object_image(o);
	struct text old = TEXT_INIT;
	int rc = check_unused(i, e);

	if (rc == 0)
		rc = kept_rename(o, o->daemon->image_fd, name, &old, e);
	if (rc == 0)
		kept_event(o, "renamed", text_str(&old));
	text_free(&old);
	return rc;
}

int image_chown(struct object *o, struct err *e)
{
	return kept_save_meta(o, image_dir(object_image(o)), e);
}

/* ---- finding again ---- */

int image_load(struct daemon *d, const char *name, bool anew, struct err *e)
{
	struct text text = TEXT_INIT;
	struct meta meta = { 0 };
	struct image *i = image_new(e);
	int dir = openat(d->image_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), rc;

	if (!i) {
		if (dir >= 0)
			close(dir);
		return err_sys(e, ENOMEM, "%s", name);
	}
	rc = kept_read_meta(d, dir < 0 ? -errno : dir, &text, &meta, &i->broken);
	if (rc < 0)
		meta = (struct meta){ .owner.mode = 0700, .id = anew ? daemon_new_id(d, e) : 0 };
	identity_make(&i->identity);
	if (rc < 0 && !anew)
		rc = 1;
	else
		rc = meta.id ? image_insert(i, d, meta.id, name, e) : e->code;
	if (rc == 0) {
		kept_adopt_meta(&i->object, &i->identity, &meta);
		if (!i->broken.code)
			image_read(i, dir, &i->broken);
		if (i->broken.code)
			i->state = IMAGE_FAILED;
	} else {
		image_free(&i->object);
	}
	text_free(&text);
	if (dir >= 0)
		close(dir);
	return rc;
}

void image_recover(struct image *i)
{
	struct err e = { 0 };

	if (i->broken.code) {
		object_refuse(&i->object, &i->broken);
		return;
	}
	if (i->state != IMAGE_IMPORTING)
		return;
	i->state = IMAGE_EMPTY;
	if (image_import(i, &e) == 0)
		return;
	object_refuse(&i->object, &e);
	image_set_state(i, IMAGE_FAILED, "");
	image_save(i, NULL);
}

/* ---- state ---- */

void image_set_state(struct image *i, enum image_state state, const char *detail)
{
	struct text text = TEXT_INIT;

	if (i->state == state)
		return;
	text_addf(&text, "%s%s%s", image_state_words[state], *detail ? " " : "", detail);
	kept_event(&i->object, "state", text_str(&text));
	text_free(&text);
	i->state = state;
	object_changed_by(&i->object, CHANGE_STATE);
	waiters_wake(&i->object);
}

/* ---- for containers ---- */

const char *image_named(const char *value)
{
	return value && !strncmp(value, "image ", 6) ? value + 6 : NULL;
}

static bool uses(const struct object *o, const char *name)
{
	const char *root = image_named(((const struct machine *)o)->config.container.root);

	return root && !strcmp(root, name);
}

void image_users(const struct image *i, struct text *out)
{
	const struct object *all = i->object.daemon->machines[KIND_CONTAINER];

	for (size_t n = 0; n < all->nchildren; n++)
		if (uses(all->children[n], i->object.name))
			text_addf(out, "container/%s\n", all->children[n]->name);
}

int image_find(const struct machine *m, const char *name, const char *what, struct image **ret,
	       struct err *e)
{
	const struct owner *own = &m->object.owner;
	struct object *o = object_child(m->object.daemon->images, name);
	mode_t bit;

	if (!o)
		return err_set(e, -ENOENT, "%s: there is no image \"%.64s\"", what, name);
	bit = own->uid == o->owner.uid ? 0400 : own->gid == o->owner.gid ? 0040 : 0004;
	if (own->uid != 0 && !(o->owner.mode & bit))
		return err_set(e, -EACCES, "%s: image %s is not for user %u", what, name, own->uid);
	*ret = object_image(o);
	return 0;
}

int image_open(struct image *i, int *ret_fd, struct err *e)
{
	bool file = i->found.type == IMAGE_SQUASHFS || i->found.type == IMAGE_EROFS;
	int dir, data, fd;

	if (i->state != IMAGE_READY)
		return err_set(e, -EBUSY, "root: image %s is %s", i->object.name,
			       image_state_words[i->state]);
	dir = image_dir(i);
	data = dir < 0 ? -1 : openat(dir, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	fd = data < 0 ? -1
	     : file   ? openat(data, "filesystem", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
		      : openat(data, "root", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		err_sys(e, errno, "root: image %s", i->object.name);
	if (dir >= 0)
		close(dir);
	if (data >= 0)
		close(data);
	*ret_fd = fd;
	return fd < 0 ? e->code : 0;
}

static int set_text(const char *name, const struct text *value, struct machine_config *c,
		    struct err *e)
{
	if (text_failed(value))
		return err_sys(e, ENOMEM, "%s", name);
	return value->len
		       ? attr_store(attr_find(KIND_CONTAINER, name), c, value->data, value->len, e)
		       : 0;
}

/* Entrypoint and command; /sbin/init where there is neither. */
static int default_init(const struct image_found *f, struct machine_config *c, struct err *e)
{
	bool both = f && f->entrypoint && *f->entrypoint && f->cmd && *f->cmd;
	struct text init = TEXT_INIT;
	int rc;

	if (f && f->entrypoint)
		text_add(&init, f->entrypoint);
	if (both)
		text_add(&init, " ");
	if (f && f->cmd)
		text_add(&init, f->cmd);
	if (!init.len)
		text_add(&init, "/sbin/init");
	rc = set_text("init", &init, c, e);
	text_free(&init);
	return rc;
}

/* The container's own go before those of the image. */
static int default_env(const struct image_found *f, struct machine_config *c, struct err *e)
{
	const struct attr *env = attr_find(KIND_CONTAINER, "init.env");
	struct text own = TEXT_INIT, all = TEXT_INIT;
	int rc;

	attr_show(env, c, &own);
	for (size_t n = 0; n < f->env.n; n++)
		text_addf(&all, "%s=%s\n", f->env.entries[n].key, f->env.entries[n].value);
	text_add(&all, text_str(&own));
	rc = set_text("init.env", &all, c, e);
	text_free(&own);
	text_free(&all);
	return rc;
}

int image_defaults(const struct machine *m, struct machine_config *c, struct err *e)
{
	const char *name = image_named(c->container.root);
	const struct image_found *f = NULL;
	bool own = c->container.init && *c->container.init;
	struct image *image;
	int rc = 0;

	if (name && (rc = image_find(m, name, "root", &image, e)) < 0)
		return rc;
	if (name)
		f = &image->found;
	if (f)
		rc = default_env(f, c, e);
	if (rc == 0 && !own)
		rc = default_init(f, c, e);
	/* The directory, user and signal are the program's, not another's. */
	if (rc == 0 && !own && f && f->workdir && *f->workdir && !strcmp(c->container.cwd, "/"))
		rc = attr_store(attr_find(KIND_CONTAINER, "init.cwd"), c, f->workdir,
				strlen(f->workdir), e);
	if (rc == 0 && !own && f && f->user_ids && *f->user_ids && c->container.user.uid == 0 &&
	    c->container.user.gid == 0)
		rc = attr_store(attr_find(KIND_CONTAINER, "init.user"), c, f->user_ids,
				strlen(f->user_ids), e);
	if (rc == 0 && !own && f && f->stop_signal && signal_number(f->stop_signal) > 0 &&
	    (!c->container.stop_signal || !*c->container.stop_signal))
		rc = attr_store(attr_find(KIND_CONTAINER, "stop.signal"), c, f->stop_signal,
				strlen(f->stop_signal), e);
	return rc;
}
