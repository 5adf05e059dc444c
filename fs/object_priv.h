/*
 * The inside of objects, for fs/object.c, node.c, node_owner.c and handle.c only: what of a file
 * has changed, and what the client's kernel keeps of it.
 */
#ifndef FS_OBJECT_PRIV_H
#define FS_OBJECT_PRIV_H

#include <time.h>

#include "fs/node.h"

#define INO_HASH_BITS 24
#define INO_HASH_MASK ((1u << INO_HASH_BITS) - 1)
#define KEEP_S	      10 /* seconds for which a file's attributes may be kept */

static inline int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

uint32_t text_hash(const char *text);
/* Of a directory's or file's object, in sentences. */
const char *node_name(struct node n);

/* When it changed, if it has. */
struct file_time *time_find(const struct object *o, const struct file *f);
/* NULL: no memory; the file's time then stays what it was. */
struct file_time *time_of(struct object *o, const struct file *f);
/* The directory's entries have changed. */
void dir_list(struct node dir);
/* The content of a file is another one: its time moves, and whoever waits for that is told. */
void file_changed(struct object *o, const struct file *f);
/* What the kernel keeps of a file is taken back, if it keeps anything. */
void file_invalidate(struct object *o, const struct file *f);
/* A handle, or the tree, has let go of it. */
void object_unref(struct object *o);

#endif
