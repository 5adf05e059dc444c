/* copy_tree(): a directory of the host's, as its owner sees it, into a tree. */
#ifndef BACKENDS_IMAGE_COPY_H
#define BACKENDS_IMAGE_COPY_H

#include "backends/image/source.h"
#include "backends/image/tree.h"

/*
 * What is mounted below it stays out, and so does what the owner cannot read: that is EACCES.
 * Does not settle the tree.
 */
int copy_tree(struct source *s, struct tree *t, struct err *e);
/* How many bytes that will be; what cannot be read counts as nothing. */
uint64_t copy_size(struct source *s);

#endif
