/*
 * The file `meta` of a machine's state directory: what is durable but no setting. Lines: the
 * format, id, uuid, when it was made, the directory's owner, and those of files that have another
 * one.
 */
#ifndef FS_META_H
#define FS_META_H

#include <stdint.h>

#include "backends/text.h"
#include "fs/machine.h"

struct meta {
	uint64_t id;
	char uuid[37];
	struct timespec created;
	struct owner owner;
	const char *files; /* the lines behind `owner`, in the text that was parsed */
};

void meta_print(const struct machine *m, struct text *out);
/* -EINVAL for what is torn or of another format. */
int meta_parse(const char *text, struct meta *ret);
/* Gives the files their owners. What only another version has is kept for it. */
void meta_parse_files(struct machine *m, const char *lines);

/* RFC 9562, version 4. */
void uuid_make(char uuid[37]);

#endif
