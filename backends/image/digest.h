/*
 * Digests as "sha256:" and 64 hexadecimal digits: of bytes, and of a whole tree of files.
 *
 * A tree's digest says what is in it, sorted by name: types, modes, owners, links, data, and the
 * extended attributes that an image keeps; no times, so that two copies have the same.
 */
#ifndef BACKENDS_IMAGE_DIGEST_H
#define BACKENDS_IMAGE_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/base/err.h"

#define DIGEST_TEXT 72 /* with the NUL */

void digest_text(struct sha256_ctx *c, char ret[DIGEST_TEXT]); /* and begins anew */
/* "sha256:" and lower-case digits, as it stands in a name of a file: no slash, no dot. */
bool digest_valid(const char *text);

/* done: counts the bytes read, may be NULL. No tree deeper than TREE_DEPTH_MAX. */
int digest_tree(int root, _Atomic uint64_t *done, char ret[DIGEST_TEXT], struct err *e);

#endif
