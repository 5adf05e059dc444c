/*
 * Settings on disk, of objects that are no machines: a line NAME VALUE for each, a keyed one's for
 * each of its lines.
 */
#ifndef FS_ATTR_ROWS_H
#define FS_ATTR_ROWS_H

#include "fs/attr/attr.h"

void rows_print(const struct schema *s, const void *base, struct text *out);
/*
 * Takes one line, without its newline, into base: 1; 0 when it is none of the schema's, as another
 * version may have written; or -EINVAL, -EIO.
 */
int rows_read(const struct schema *s, void *base, const char *line, size_t len, struct err *e);

#endif
