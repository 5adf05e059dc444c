/* unpack_tar(): a tar archive, plain or packed with gzip, xz or zstd, into a tree. */
#ifndef BACKENDS_IMAGE_UNPACK_H
#define BACKENDS_IMAGE_UNPACK_H

#include <stdbool.h>

#include "backends/image/source.h"
#include "backends/image/tree.h"

/*
 * layer: names that begin with .wh. hide what is there, as in an OCI layer. The blob is not read
 * further than the archive goes. Does not settle the tree.
 */
int unpack_tar(struct blob *b, struct tree *t, bool layer, struct err *e);

#endif
