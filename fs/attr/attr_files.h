/* Settings as files of a class: what the tables of fs/attr/attr.h become in the tree. */
#ifndef FS_ATTR_ATTR_FILES_H
#define FS_ATTR_ATTR_FILES_H

#include "fs/attr/attr.h"
#include "fs/node.h"

/*
 * Appends a file for each row of a schema to the class's, which has room: `like` says its mode and
 * how it is shown and written. One that may hold secrets is the owner's alone.
 */
void attr_files(struct class *ret, const struct schema *s, const struct file *like);

#endif
