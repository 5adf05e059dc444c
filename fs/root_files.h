/* The files at the root of the tree and in host/. */
#ifndef FS_ROOT_FILES_H
#define FS_ROOT_FILES_H

#include "fs/node.h"

/* Fill a class; it owns the array. */
int root_files(struct class *ret, struct err *e);
int host_files(struct class *ret, struct err *e);

#endif
