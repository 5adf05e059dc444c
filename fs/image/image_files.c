/* The files of an image's directory. See image.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "fs/attr/attr_files.h"
#include "fs/common_files.h"
#include "fs/image/image.h"

/* ---- settings, and what was found ---- */

static void show_setting(struct object *o, const struct file *f, struct text *out)
{
	attr_show(f->attr, &object_image(o)->settings, out);
}

static void show_found(struct object *o, const struct file *f, struct text *out)
{
	attr_show(schema_find(&image_found_schema, f->name), &object_image(o)->found, out);
}

static int write_setting(struct handle *h, struct request *r, const char *data, size_t len,
			 struct err *e)
{
	struct image *i = object_image(h->object);
	const struct attr *a = h->file->attr;
	struct image_settings next, before = i->settings;
	int rc;

	if (i->broken.code)
		return err_set(e, -EIO, "%s: %s; remove the image", a->name, i->broken.text);
	rc = schema_copy(&image_schema, &i->settings, &next, e);
	if (rc < 0)
		return rc;
	rc = attr_store(a, &next, data, len, e);
	if (rc == 0 && (i->state == IMAGE_READY || i->state == IMAGE_IMPORTING) &&
	    !(a->flags & ATTR_LIVE) && !attr_equal(a, &i->settings, &next))
		rc = err_set(e, -EBUSY, "%s: cannot change while the image is %s", a->name,
			     image_state_words[i->state]);
	if (rc == 0) {
		i->settings = next;
		rc = image_save(i, e);
		if (rc < 0)
			i->settings = before;
	}
	schema_free(&image_schema, rc < 0 ? &next : &before);
	if (rc == 0)
		object_changed(&i->object, a->name);
	return rc;
}

/* ---- the rest ---- */

static void show_progress(struct object *o, const struct file *f, struct text *out)
{
	const struct image *i = object_image(o);
	const struct import_progress *p = i->progress;

	text_addf(out, "done %" PRIu64 "\nall %" PRIu64 "\n", p ? atomic_load(&p->done) : i->read,
		  p ? atomic_load(&p->all) : i->all);
}

static void show_users(struct object *o, const struct file *f, struct text *out)
{
	image_users(object_image(o), out);
}

static const struct file rows[] = {
	{ .name = "ctl",
	  .changes = CHANGE_STATE,
	  .mode = 0644,
	  .show = image_ctl_show,
	  .write = image_ctl_write,
	  .doc = "Reading lists the verbs that are valid now. import begins to unpack the source, "
		 "or "
		 "goes on where an earlier import of the same OCI image ended, layer by layer; it "
		 "returns when that is under way. cancel ends it. clear removes what a failed one "
		 "has "
		 "left. verify reads all that was unpacked, and returns when it is what was "
		 "imported, "
		 "or with EIO." },
	{ COMMON_STATE,
	  .doc = "One word: empty, importing, ready or failed. poll(2) and inotify tell of "
		 "changes. "
		 "An import goes on when the daemon is started again." },
	{ COMMON_WAIT,
	  .doc = "Writing STATE [SECONDS] returns when the image is in that state, as a "
		 "machine's." },
	{ .name = "progress",
	  .mode = 0444,
	  .show = show_progress,
	  .doc = "How far the import is: done, bytes of the source that were read, and all of "
		 "them. While it is being verified: bytes of what was unpacked." },
	{ .name = "users",
	  .mode = 0444,
	  .show = show_users,
	  .doc = "The containers whose root it is, a line each. While there are any it cannot be "
		 "removed or renamed." },
	{ COMMON_ERROR, .doc = "The last refusal, or why the import failed. import clears it." },
	{ COMMON_EVENTS, .doc = "What happened to this image, as a machine's." },
	{ COMMON_UUID },
	{ COMMON_CREATED },
};

int image_files(struct class *ret, struct err *e)
{
	int rc = files_init(ret, rows, sizeof(rows) / sizeof(rows[0]),
			    schema_count(&image_schema) + schema_count(&image_found_schema), e);

	if (rc < 0)
		return rc;
	attr_files(ret, &image_schema,
		   &(struct file){ .mode = 0644, .show = show_setting, .write = write_setting });
	attr_files(ret, &image_found_schema, &(struct file){ .mode = 0444, .show = show_found });
	return 0;
}
