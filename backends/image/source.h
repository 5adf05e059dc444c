/*
 * struct source: what an image is imported from: a directory, or a file; and struct blob, a part of
 * it that is read once from its beginning to its end, while its digest is made.
 *
 * A directory is read with the owner's authority (cred.h), name by name below the directory; no
 * link is followed. A file was opened by the opener. An OCI layout may be either: a directory, or a
 * tar archive that is not compressed, in which a blob is a stretch of the file.
 */
#ifndef BACKENDS_IMAGE_SOURCE_H
#define BACKENDS_IMAGE_SOURCE_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/host/cred.h"
#include "backends/image/digest.h"

#define BLOB_CHUNK 262144

struct stretch; /* a member of an archive */

struct source {
	int fd; /* borrowed */
	bool directory;
	struct cred owner;
	_Atomic uint64_t *done;	 /* bytes of it that were read; may be NULL */
	struct stretch *members; /* of an archive, once it was looked through */
	size_t nmembers;
};

struct blob {
	const struct source *source;
	int fd; /* its own, or -1: the source's */
	off_t at, end;
	struct sha256_ctx sum;
	char *buffer; /* of BLOB_CHUNK bytes */
};

/* An OCI layout is one that has this file. */
bool source_has(struct source *s, const char *name);
/* Looks an archive through, so that source_blob() finds what is in it. EINVAL: no tar archive. */
int source_index(struct source *s, struct err *e);
void source_free(struct source *s); /* what source_index() has made */

/* name: below the directory or in the archive; NULL: the file itself. ENOENT: there is none. */
int source_blob(struct source *s, const char *name, struct blob *ret, struct err *e);
/* The next bytes, in the blob's buffer; 0 at the end. */
ssize_t blob_read(struct blob *b, const void **ret);
/* Reads what is left, and says what the digest of all is. */
int blob_finish(struct blob *b, char digest[DIGEST_TEXT], struct err *e);
void blob_free(struct blob *b);

/* The whole of a small one; EINVAL when it is larger than max. digest may be NULL. */
int source_read(struct source *s, const char *name, size_t max, struct text *out,
		char digest[DIGEST_TEXT], struct err *e);

#endif
