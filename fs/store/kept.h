/*
 * What machines, images and switches share: objects with `identity` and `events`, each with a
 * directory on disk that is named as it is and has its `meta` and a file of its settings.
 */
#ifndef FS_STORE_KEPT_H
#define FS_STORE_KEPT_H

#include "fs/store/meta.h"

/* Writes a file of the directory dir, -errno where there is none; closes it. */
int kept_write(int dir, const char *file, const struct text *text, struct err *e);

/* Writes its `meta` anew, likewise. */
int kept_save_meta(const struct object *o, int dir, struct err *e);

/* Reads `meta`, whose text the caller frees. -EIO, also when its id is another object's. */
int kept_read_meta(struct daemon *d, int dir, struct text *text, struct meta *ret, struct err *e);
/* Makes that the object's own. */
void kept_adopt_meta(struct object *o, struct identity *id, const struct meta *m);

/* Renames it in `in`, where its directory is, and in the tree; *ret_old was its path. */
int kept_rename(struct object *o, int in, const char *name, struct text *ret_old, struct err *e);

/* Something has happened to it: `events`, its own and the root's, and the log. detail: or "". */
void kept_event(struct object *o, const char *what, const char *detail);

#endif
