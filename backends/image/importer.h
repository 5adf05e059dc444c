/*
 * The importer: a process of its own that makes an image out of what strangers have written.
 *
 * The same binary executed with --importer, for one task: its first message says which
 * (WIRE_IMPORT, with descriptors), its only answer is WIRE_IMPORTED. It has nothing but those
 * descriptors: its root directory is the image's data directory, it is in namespaces of its own
 * without a network, and of root's capabilities it keeps those by which files get their owners.
 * It ends when its socket does, so also with its daemon.
 *
 * The data directory, which nobody but importers writes:
 *
 *     root/        the unpacked tree
 *     filesystem   in its place, of squashfs and erofs: the file itself
 *     layers       of an import that is under way: which layers are in root/, for the next one
 *
 * An importer that is killed leaves a tree that the next one goes on with, layer by layer, when the
 * source is the same image; else that begins anew.
 */
#ifndef BACKENDS_IMAGE_IMPORTER_H
#define BACKENDS_IMAGE_IMPORTER_H

#include <stdint.h>

#define IMPORTER_FD	  3 /* the only descriptor of an importer at its start */
#define IMAGE_ENTRIES_MAX 4000000

/* In the order of the words of `type`. */
enum image_type {
	IMAGE_AUTO,
	IMAGE_DIRECTORY,
	IMAGE_TAR,
	IMAGE_OCI,
	IMAGE_SQUASHFS,
	IMAGE_EROFS,
	IMAGE_TYPES,
};

/* A page of memory that daemon and importer share. */
struct import_progress {
	_Atomic uint64_t done, all; /* bytes of the source */
};

/* The importer's own life: one task. For main(). */
int importer_main(void);

#endif
