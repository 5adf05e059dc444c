/*
 * The file `meta` of an object's state directory: what is durable but no setting. Lines: the
 * format, id, uuid, when it was made, the directory's owner, and those of files that have another
 * one; of a machine's parts likewise.
 */
#ifndef FS_STORE_META_H
#define FS_STORE_META_H

#include <stdint.h>
#include <time.h>

#include "backends/base/text.h"
#include "fs/node.h"

/* What an object that users make is for ever. */
struct identity {
	char uuid[37]; /* RFC 9562, version 4 */
	struct timespec created;
	struct text foreign; /* lines of meta about files that this version does not have */
};

void identity_make(struct identity *i);
void identity_free(struct identity *i);

struct meta {
	uint64_t id;
	char uuid[37];
	struct timespec created;
	struct owner owner;
	const char *files; /* the lines behind `owner`, in the text that was parsed */
};

void meta_print(const struct object *o, const struct identity *i, struct text *out);
/* -EINVAL for what is torn or of another format. */
int meta_parse(const char *text, struct meta *ret);
/* A part of a machine (fs/machine/part.h). */
struct meta_part {
	char dir[64], name[64];
	uint64_t id;
	struct owner owner;
	bool follows; /* see struct object */
};

void meta_print_part(const struct object *o, struct text *out);
/* The next one in the lines, and moves behind it; false: there is none. */
bool meta_next_part(const char **lines, struct meta_part *ret);
/* Gives the files their owners. What only another version has is kept for it. */
void meta_parse_files(struct object *o, struct identity *i, const char *lines);

#endif
