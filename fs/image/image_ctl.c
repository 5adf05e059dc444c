/* The verbs of images, and what comes of them. See image.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/opener.h"
#include "fs/daemon.h"
#include "fs/image/image.h"
#include "fs/image/importer.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

/* A string that nobody has set is NULL. */
static const char *said(const char *s)
{
	return s ? s : "";
}

/* ---- what an importer needs ---- */

/* The page in which it says how far it is: its size is sealed, so reading it can never fault. */
static int open_progress(struct image *i, struct err *e)
{
	int fd = memfd_create("progress", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *page = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*i->progress)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		page = mmap(NULL, sizeof(*i->progress), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		err_sys(e, errno, "import: progress");
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	image_drop_progress(i, false);
	i->progress = page;
	return fd;
}

static int open_data(struct image *i, bool make, struct err *e)
{
	int dir = image_dir(i), data = -1;

	if (dir >= 0 && make && mkdirat(dir, "data", 0700) < 0 && errno != EEXIST)
		err_sys(e, errno, "import: state directory");
	else if (dir >= 0)
		data = openat(dir, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (data < 0 && !e->code)
		err_sys(e, dir < 0 ? -dir : errno, "import: state directory");
	if (dir >= 0)
		close(dir);
	return data < 0 ? e->code : data;
}

/* Without asking its file system, which may not answer. */
static bool is_directory(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
	       S_ISDIR(st.stx_mode);
}

static int open_source(const struct image *i, struct err *e)
{
	struct daemon *d = i->object.daemon;
	struct hostpath p = {
		.path = i->settings.source,
		.kind = HOSTPATH_ANY,
		.what = "source",
		.uid = i->object.owner.uid,
		.gid = i->object.owner.gid,
		.avoid = d->own_dev,
	};
	int fd, rc;

	if (!p.path || !*p.path)
		return err_set(e, -EINVAL, "source: not set; there is nothing to import");
	rc = opener_open(d->opener, &p, &fd, e);
	if (rc < 0 || is_directory(fd))
		return rc < 0 ? rc : fd;
	close(fd);
	p.kind = HOSTPATH_FILE; /* a file is to be read */
	rc = opener_open(d->opener, &p, &fd, e);
	return rc < 0 ? rc : fd;
}

static int start_importer(struct image *i, enum import_task what, int data, int source,
			  importer_done *done, struct err *e)
{
	struct wire_import task = {
		.task = what,
		.type = i->settings.type,
		.uid = i->object.owner.uid,
		.gid = i->object.owner.gid,
		.bytes_max = what == IMPORT_VERIFY ? i->found.bytes : i->settings.size_max,
	};
	int fds[3] = { data, source, open_progress(i, e) }, rc;

	if (fds[2] < 0)
		return fds[2];
	snprintf(task.name, sizeof(task.name), "%s", said(i->settings.ref));
	snprintf(task.digest, sizeof(task.digest), "%s", said(i->settings.digest));
	rc = importer_start(i->object.daemon, &task, fds, 3, done, i, &i->importer, e);
	if (rc < 0)
		image_drop_progress(i, false);
	close(fds[2]);
	return rc;
}

/* ---- import ---- */

/* Each line is checked as if a user had written it; what is none is not taken. */
static void take_run(struct image_found *f, const char *run)
{
	for (; *run; run += strcspn(run, "\n"), run += *run == '\n') {
		size_t len = strcspn(run, "\n"), name = strcspn(run, " \n");
		const struct attr *a;
		char key[32];

		if (name >= sizeof(key) || name + 1 >= len)
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)name, run);
		a = schema_find(&image_found_schema, key);
		if (a && (a->type == &attr_argv || a->type == &attr_env || a->type == &attr_path ||
			  !strcmp(key, "user") || !strcmp(key, "user.ids") ||
			  !strcmp(key, "platform") || !strcmp(key, "stop.signal")))
			attr_store(a, f, run + name + 1, len - name - 1, NULL);
	}
}

static int take_found(struct image *i, const struct wire_imported *answer, const char *run,
		      struct err *e)
{
	struct image_found f;
	int rc = schema_init(&image_found_schema, &f, e);

	if (rc < 0)
		return rc;
	f.type = answer->type < IMAGE_TYPES ? (enum image_type)answer->type : IMAGE_AUTO;
	f.bytes = answer->counts[0];
	f.entries = answer->counts[1];
	f.devices = answer->counts[2];
	f.xattrs = answer->counts[3];
	f.owners = answer->counts[4];
	rc = attr_store(schema_find(&image_found_schema, "digest"), &f, answer->digest,
			strlen(answer->digest), e);
	if (rc == 0)
		rc = attr_store(schema_find(&image_found_schema, "digest.tree"), &f, answer->tree,
				strlen(answer->tree), e);
	if (rc < 0) {
		schema_free(&image_found_schema, &f);
		return rc;
	}
	take_run(&f, run);
	schema_free(&image_found_schema, &i->found);
	i->found = f;
	return 0;
}

static void on_imported(void *arg, const struct wire_imported *answer, const char *run,
			const struct err *why)
{
	struct image *i = arg;
	struct err e = *why;
	enum image_state state;

	i->importer = NULL;
	image_drop_progress(i, true);
	if (!answer && i->cancelled)
		err_set(&e, -EIO, "import: cancelled");
	if (!e.code && take_found(i, answer, run, &e) == 0)
		e.code = 0;
	state = e.code ? IMAGE_FAILED : IMAGE_READY;
	/* Durable first: who waits may be told what the next daemon says as well. */
	i->state = state;
	if (image_save(i, e.code ? NULL : &e) < 0)
		state = IMAGE_FAILED;
	i->state = IMAGE_IMPORTING;
	object_changed_by(&i->object, CHANGE_CONFIG);
	image_set_state(i, state, e.code ? e.text : "");
	if (e.code)
		object_refuse(&i->object, &e);
}

static int check_kind(const struct image *i, struct err *e)
{
	if ((i->settings.type == IMAGE_SQUASHFS || i->settings.type == IMAGE_EROFS) &&
	    i->object.owner.uid != 0)
		return err_set(
			e, -EPERM,
			"type: the kernel would mount a file of user %u's; only root's images "
			"may be of this type",
			i->object.owner.uid);
	return 0;
}

int image_import(struct image *i, struct err *e)
{
	enum image_state before = i->state;
	int source, data, rc = check_kind(i, e);

	if (rc < 0)
		return rc;
	source = open_source(i, e);
	if (source < 0)
		return source;
	data = open_data(i, true, e);
	i->state = IMAGE_IMPORTING;
	rc = data < 0 ? data : image_save(i, e);
	if (rc == 0)
		rc = start_importer(i, IMPORT_UNPACK, data, source, on_imported, e);
	close(source);
	if (data >= 0)
		close(data);
	i->state = before;
	if (rc < 0) {
		if (data >= 0)
			image_save(i, NULL);
		return rc;
	}
	i->cancelled = false;
	text_clear(&i->object.refusal);
	object_changed_by(&i->object, CHANGE_REFUSAL);
	image_set_state(i, IMAGE_IMPORTING, "");
	return 0;
}

static int verb_import(struct image *i, struct request *r, struct err *e)
{
	return image_import(i, e);
}

/* What is unpacked stays, for the next import. */
static int verb_cancel(struct image *i, struct request *r, struct err *e)
{
	i->cancelled = true;
	importer_kill(i->importer);
	return 0;
}

static int verb_clear(struct image *i, struct request *r, struct err *e)
{
	struct daemon *d = i->object.daemon;
	int dir = image_dir(i), rc = 0;
	char hidden[64];

	/* Out of the way at once, and removed by and by. */
	snprintf(hidden, sizeof(hidden), STORE_REMOVED "data-%" PRIu64, daemon_new_id(d, e));
	if (dir < 0 ||
	    (renameat2(dir, "data", d->image_fd, hidden, RENAME_NOREPLACE) < 0 && errno != ENOENT))
		rc = err_sys(e, dir < 0 ? -dir : errno, "clear");
	if (dir >= 0)
		close(dir);
	if (rc < 0)
		return rc;
	importer_remove(d, d->image_fd, hidden);
	image_set_state(i, IMAGE_EMPTY, "");
	return image_save(i, e);
}

/* ---- verify ---- */

static void verifier_gone(struct request *r)
{
	((struct image *)r->parked)->verifier = NULL;
}

static void on_verified(void *arg, const struct wire_imported *answer, const char *run,
			const struct err *why)
{
	struct image *i = arg;
	struct request *r = i->verifier;
	struct err e = *why;

	i->importer = NULL;
	i->verifying = false;
	image_drop_progress(i, false);
	if (answer && !e.code && strcmp(answer->tree, said(i->found.tree)))
		err_set(&e, -EIO, "verify: it is not what was imported: %s is now %s",
			said(i->found.tree), answer->tree);
	kept_event(&i->object, "verified", e.code ? e.text : "");
	object_changed_by(&i->object, CHANGE_STATE);
	i->verifier = NULL;
	if (r) {
		r->parked = NULL;
		r->cancel = NULL;
		request_finish(r, e.code, &e);
	} else if (e.code) {
		object_refuse(&i->object, &e);
	}
}

void image_release(struct image *i)
{
	struct err e = { 0 };
	struct request *r = i->verifier;

	if (!r)
		return;
	i->verifier = NULL;
	r->parked = NULL;
	r->cancel = NULL;
	request_finish(r, err_set(&e, -ESTALE, "verify: the daemon ends"), &e);
}

static int verb_verify(struct image *i, struct request *r, struct err *e)
{
	int data = open_data(i, false, e), rc;

	if (data < 0)
		return data;
	rc = start_importer(i, IMPORT_VERIFY, data, data, on_verified, e);
	close(data);
	if (rc < 0)
		return rc;
	i->verifying = true;
	i->verifier = r;
	object_changed_by(&i->object, CHANGE_STATE);
	r->parked = i;
	r->again = true;
	r->cancel = verifier_gone;
	return NODE_PARKED;
}

/* ---- the table ---- */

#define IN(state) (1u << IMAGE_##state)

static const struct image_verb {
	const char *name;
	unsigned states; /* where it is valid */
	int (*run)(struct image *i, struct request *r, struct err *e);
} verbs[] = {
	{ "import", IN(EMPTY) | IN(FAILED), verb_import },
	{ "cancel", IN(IMPORTING), verb_cancel },
	{ "clear", IN(FAILED), verb_clear },
	{ "verify", IN(READY), verb_verify },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static bool verb_valid(const struct image *i, const struct image_verb *v)
{
	return !i->broken.code && (v->states & 1u << i->state) && !i->verifying;
}

void image_ctl_show(struct object *o, const struct file *f, struct text *out)
{
	for (size_t n = 0; n < VERB_COUNT; n++)
		if (verb_valid(object_image(o), &verbs[n]))
			text_addf(out, "%s\n", verbs[n].name);
}

int image_ctl_write(struct handle *h, struct request *r, const char *data, size_t len,
		    struct err *e)
{
	struct image *i = object_image(h->object);

	if (len && data[len - 1] == '\n')
		len--;
	if (i->broken.code)
		return err_set(e, -EIO, "%s; remove the image", i->broken.text);
	for (size_t n = 0; n < VERB_COUNT; n++) {
		if (strlen(verbs[n].name) != len || memcmp(verbs[n].name, data, len))
			continue;
		if (i->verifying)
			return err_set(e, -EBUSY, "ctl: %s: it is being verified", verbs[n].name);
		if (!verb_valid(i, &verbs[n]))
			return err_set(e, i->state == IMAGE_READY ? -EEXIST : -EBUSY,
				       "ctl: %s: the image is %s", verbs[n].name,
				       image_state_words[i->state]);
		return verbs[n].run(i, r, e);
	}
	return err_set(e, -EINVAL, "ctl: not a verb; `cat ctl` lists them");
}
