/*
 * The journal of an import: which of an image's layers are unpacked already, in the file `layers`
 * of its data directory. What is torn, or of another image, says that none is.
 */
#ifndef BACKENDS_IMAGE_LAYERS_H
#define BACKENDS_IMAGE_LAYERS_H

#include "backends/image/oci.h"

size_t layers_read(int dirfd, const struct oci_image *image);
/* Durable when it returns; what the layers have brought must be already. */
int layers_write(int dirfd, const struct oci_image *image, size_t n, struct err *e);

#endif
