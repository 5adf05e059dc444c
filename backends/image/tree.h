/*
 * struct tree: a root file system while it is written, by names that strangers have chosen.
 *
 * Every name is resolved as in a changed root directory (openat2, RESOLVE_IN_ROOT): links in it
 * lead nowhere but into the tree, whoever made them. A name with ".." in it, one too long or too
 * deep is refused; what means something to the host only (devices, sockets, extended attributes
 * that a file system or overlay acts upon) is left out and counted.
 *
 * Refusals are EINVAL with the entry's name, ENOSPC when a limit is reached.
 */
#ifndef BACKENDS_IMAGE_TREE_H
#define BACKENDS_IMAGE_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "backends/base/err.h"

#define TREE_DEPTH_MAX 255

/* Also the order in struct image_result. */
struct tree_counts {
	uint64_t bytes; /* of files' data; holes are none */
	uint64_t entries;
	uint64_t devices; /* left out: devices and sockets */
	uint64_t xattrs;  /* left out: extended attributes */
	uint64_t owners;  /* whose owner could not be kept */
};

struct tree;

struct tree_entry {
	const char *path;
	mode_t mode; /* with the type */
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	const char *target; /* of a symbolic link */
	const char *same;   /* a hard link to this path, whatever mode says */
	uint64_t size;	    /* of a regular file, with its holes */
	/* Gives its extended attributes to tree_xattr(), when it has its owner; NULL: none. */
	void (*xattrs)(struct tree *t, int fd, void *arg);
	void *arg;
};

/* root: an open directory, borrowed. Limits are of this tree as a whole, with what counts has. */
int tree_new(int root, uint64_t bytes_max, uint64_t entries_max, struct tree **ret, struct err *e);
void tree_free(struct tree *t);
struct tree_counts *tree_counts(struct tree *t);

/*
 * Makes the entry, in the place of what is there; a directory keeps what is in it. *ret_fd: a
 * regular file, to be written and given to tree_close(); a directory, likewise; else -1.
 */
int tree_add(struct tree *t, const struct tree_entry *entry, int *ret_fd, struct err *e);
int tree_write(struct tree *t, int fd, const struct tree_entry *entry, const void *data, size_t len,
	       uint64_t at, struct err *e);
/* The extended attributes that a tree keeps; others are left out, and counted. */
bool tree_xattr_taken(const char *name);
void tree_xattr(struct tree *t, int fd, const char *name, const void *value, size_t size);
/* Size, owner, mode and times as the entry says; those of directories wait for tree_settle(). */
int tree_close(struct tree *t, int fd, const struct tree_entry *entry, struct err *e);

/* An entry that hides what layers before this one have; see the OCI image specification, Layer. */
int tree_whiteout(struct tree *t, const char *path, struct err *e);
int tree_opaque(struct tree *t, const char *path, struct err *e);

/* The end of a layer: directories get their modes and times; all is on disk when it returns. */
int tree_settle(struct tree *t, struct err *e);

/* Counts what is there already, as an earlier importer has left it. */
int tree_recount(struct tree *t, struct err *e);

#endif
