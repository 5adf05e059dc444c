/* What objects that users make share: see kept.h. */
#include "fs/store/kept.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/log.h"
#include "fs/store/event_log.h"
#include "fs/store/store.h"

int kept_write(int dir, const char *file, const struct text *text, struct err *e)
{
	int rc;

	if (dir < 0 || text_failed(text))
		rc = err_sys(e, dir < 0 ? -dir : ENOMEM, "state directory");
	else
		rc = store_write(dir, file, text->data, text->len, e);
	if (dir >= 0)
		close(dir);
	return rc;
}

int kept_save_meta(const struct object *o, int dir, struct err *e)
{
	struct text meta = TEXT_INIT;
	int rc;

	meta_print(o, o->identity, &meta);
	rc = kept_write(dir, "meta", &meta, e);
	text_free(&meta);
	return rc;
}

int kept_read_meta(struct daemon *d, int dir, struct text *text, struct meta *ret, struct err *e)
{
	const struct object *other;
	int rc = dir < 0 ? dir : store_read(dir, "meta", text);

	if (rc == 0)
		rc = meta_parse(text_str(text), ret);
	if (rc < 0)
		return err_set(e, -EIO, "meta on disk cannot be read: %s", strerror(-rc));
	other = object_find(d, ret->id);
	return other ? err_set(e, -EIO, "meta on disk is that of %s, too", other->name) : 0;
}

void kept_adopt_meta(struct object *o, struct identity *id, const struct meta *m)
{
	o->owner = m->owner;
	if (!m->files)
		return;
	memcpy(id->uuid, m->uuid, sizeof(m->uuid));
	id->created = m->created;
	meta_parse_files(o, id, m->files);
}

int kept_rename(struct object *o, int in, const char *name, struct text *ret_old, struct err *e)
{
	int rc = store_rename(in, o->name, name, e);

	if (rc < 0)
		return rc;
	object_path(o, ret_old);
	rc = object_set_name(o, name, e);
	if (rc < 0)
		store_rename(in, name, o->name, NULL);
	return rc;
}

void kept_event(struct object *o, const char *what, const char *detail)
{
	struct text path = TEXT_INIT;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	object_path(o, &path);
	event_log_add(o->events, now, text_str(&path), what, detail);
	log_machine(LOG_LEVEL_INFO, text_str(&path), o->identity->uuid, "%s%s%s", what,
		    *detail ? " " : "", detail);
	text_free(&path);
	object_changed(o, "events");
	object_changed(o->daemon->root, "events");
}
