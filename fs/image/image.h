/*
 * struct image: a root file system that containers share, image/NAME in the tree.
 *
 * Its state directory, STATE/image/NAME, has `meta` (id, owner, modes), `image` (state, settings
 * and what the import has found, lines NAME VALUE) and `data`, which is the importer's alone
 * (backends/image/importer.h). An import that is under way when the daemon ends goes on with the
 * next one. What is `ready` never changes again.
 */
#ifndef FS_IMAGE_IMAGE_H
#define FS_IMAGE_IMAGE_H

#include "backends/image/importer.h"
#include "fs/attr/attr.h"
#include "fs/node.h"
#include "fs/store/meta.h"

struct importer;
struct machine;

enum image_state { IMAGE_EMPTY, IMAGE_IMPORTING, IMAGE_READY, IMAGE_FAILED, IMAGE_STATES };

struct image_settings {
	char *source; /* host path, or "" */
	char *ref;
	char *digest; /* that the source must have, or "" */
	enum image_type type;
	uint64_t size_max;
	struct keyed label;
};

/* What an import has found. */
struct image_found {
	enum image_type type;
	char *digest, *tree; /* of the source, and of what was unpacked */
	uint64_t bytes, entries, devices, xattrs, owners;
	char *entrypoint, *cmd, *user, *user_ids, *workdir, *stop_signal, *platform;
	struct keyed env;
};

struct image {
	struct object object; /* first: object_image() */
	struct identity identity;
	struct image_settings settings;
	struct image_found found;
	struct err broken; /* why its files could not be read; code 0: they could */
	enum image_state state;
	struct importer *importer;	  /* at work on it, or NULL */
	struct import_progress *progress; /* its page, or NULL: nothing is under way */
	uint64_t read, all;		  /* how far the last import came */
	bool cancelled;
	struct request *verifier; /* waits for `verify`, or NULL: nobody does any more */
	bool verifying;
};

static inline struct image *object_image(struct object *o)
{
	return (struct image *)o;
}

extern const char *const image_state_words[IMAGE_STATES];
extern const struct states image_states;
extern const struct schema image_schema, image_found_schema;

/* The files of an image's directory; the class owns the array. */
int image_files(struct class *ret, struct err *e);

/* class operations, see struct class */
int image_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
		struct object **ret, struct err *e);
int image_rmdir(struct object *o, struct caller who, struct err *e);
int image_rename(struct object *o, const char *name, struct err *e);
int image_chown(struct object *o, struct err *e);
void image_free(struct object *o);

/* As machine_load(). */
int image_load(struct daemon *d, const char *name, bool anew, struct err *e);
/* Nothing is under way any more: what the page said is kept, if it was an import's. */
void image_drop_progress(struct image *i, bool keep);
/* The tree is whole: an import that was under way goes on. */
void image_recover(struct image *i);
/* Answers all that wait: the daemon ends. */
void image_release(struct image *i);

/* Makes state, settings and findings durable. */
int image_save(struct image *i, struct err *e);
void image_set_state(struct image *i, enum image_state state, const char *detail);
/* Its state directory: the caller's, or -errno. */
int image_dir(const struct image *i);

/* fs/image/image_ctl.c: the verbs. */
void image_ctl_show(struct object *o, const struct file *f, struct text *out);
int image_ctl_write(struct handle *h, struct request *r, const char *data, size_t len,
		    struct err *e);
int image_import(struct image *i, struct err *e);

/* ---- for containers ---- */

/* "image NAME" in a setting: NAME, or NULL for what is no image. */
const char *image_named(const char *value);
/*
 * The image of that name that this machine's owner may use: its directory's r for him. ENOENT, or
 * EACCES, beginning with `what`.
 */
int image_find(const struct machine *m, const char *name, const char *what, struct image **ret,
	       struct err *e);
/*
 * What a container's root is made of: the unpacked tree (O_PATH), or the file of a file system, to
 * be read. EBUSY when it is not ready.
 */
int image_open(struct image *i, int *ret_fd, struct err *e);
/* What m's image says of its program, for where c, a copy of m's configuration, says nothing. */
int image_defaults(const struct machine *m, struct machine_config *c, struct err *e);
/* Names of containers that use it, a line each. */
void image_users(const struct image *i, struct text *out);

#endif
