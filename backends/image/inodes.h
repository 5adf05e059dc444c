/* struct inodes: a set of inode numbers of one file system. All zero is an empty one. */
#ifndef BACKENDS_IMAGE_INODES_H
#define BACKENDS_IMAGE_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inodes {
	uint64_t *slots; /* open addressing; 0: free, which is no inode's number */
	size_t n, size;
};

int inodes_add(struct inodes *s, uint64_t ino); /* 0 or -ENOMEM */
bool inodes_has(const struct inodes *s, uint64_t ino);
void inodes_free(struct inodes *s); /* and is empty then */

#endif
