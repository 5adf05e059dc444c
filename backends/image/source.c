/* struct source, struct blob: see source.h. */
#include "backends/image/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/openin.h"

#define MEMBERS_MAX 20000

struct stretch {
	char *name;
	off_t at, size;
};

/* ---- names ---- */

/* A regular file below the directory, as the owner; or -errno. */
static int open_below(const struct source *s, const char *name)
{
	struct stat st;
	int fd, rc = cred_enter(&s->owner, NULL);

	if (rc < 0)
		return rc;
	fd = open_in(s->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY,
		     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		fd = -errno;
	cred_leave();
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static const char *without_dot(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

static const struct stretch *find_member(const struct source *s, const char *name)
{
	for (size_t i = 0; i < s->nmembers; i++)
		if (!strcmp(s->members[i].name, name))
			return &s->members[i];
	return NULL;
}

bool source_has(struct source *s, const char *name)
{
	int fd;

	if (!s->directory)
		return find_member(s, name) != NULL;
	fd = open_below(s, name);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- members of an archive ---- */

static int add_member(struct source *s, struct archive *a, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	struct stretch *more;

	if (!name || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
		return 0;
	if (s->nmembers == MEMBERS_MAX)
		return -EINVAL;
	more = realloc(s->members, (s->nmembers + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->members = more;
	/* The header has been read, so what comes next is the data. */
	more[s->nmembers] = (struct stretch){ strdup(without_dot(name)), archive_filter_bytes(a, 0),
					      archive_entry_size(entry) };
	return more[s->nmembers].name ? (s->nmembers++, 0) : -ENOMEM;
}

static la_ssize_t index_read(struct archive *a, void *arg, const void **ret)
{
	struct blob *b = arg;
	ssize_t n = b->end > b->at ? pread(b->source->fd, b->buffer, BLOB_CHUNK, b->at) : 0;

	if (n > 0)
		b->at += n;
	*ret = b->buffer;
	return n;
}

static la_int64_t index_skip(struct archive *a, void *arg, la_int64_t n)
{
	struct blob *b = arg;

	n = n > b->end - b->at ? b->end - b->at : n;
	b->at += n;
	return n;
}

int source_index(struct source *s, struct err *e)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	struct blob b = { .fd = -1 };
	int rc = source_blob(s, NULL, &b, e), got = ARCHIVE_EOF;

	if (rc == 0 && !a)
		rc = err_sys(e, ENOMEM, "source");
	if (rc == 0) {
		archive_read_support_format_tar(a);
		archive_read_set_skip_callback(a, index_skip);
		got = archive_read_open2(a, &b, NULL, index_read, index_skip, NULL);
	}
	while (rc == 0 && got == ARCHIVE_OK &&
	       ((got = archive_read_next_header(a, &entry)) == ARCHIVE_OK || got == ARCHIVE_WARN)) {
		got = ARCHIVE_OK;
		rc = add_member(s, a, entry);
		if (rc < 0)
			rc = err_sys(e, -rc, "source: more members than an image has");
	}
	if (rc == 0 && got != ARCHIVE_EOF)
		rc = err_set(e, -EINVAL, "source: not a tar archive: %.200s",
			     archive_error_string(a));
	archive_read_free(a);
	blob_free(&b);
	return rc;
}

void source_free(struct source *s)
{
	for (size_t i = 0; i < s->nmembers; i++)
		free(s->members[i].name);
	free(s->members);
	s->members = NULL;
	s->nmembers = 0;
}

/* ---- blobs ---- */

static int find_blob(struct source *s, const char *name, struct blob *b)
{
	const struct stretch *member;
	struct stat st;

	if (s->directory) {
		b->fd = name ? open_below(s, name) : -EISDIR;
		if (b->fd < 0)
			return b->fd;
	}
	if (fstat(b->fd >= 0 ? b->fd : s->fd, &st) < 0)
		return -errno;
	b->end = st.st_size;
	if (s->directory || !name)
		return 0;
	member = find_member(s, name);
	if (!member)
		return -ENOENT;
	if (member->size < 0 || member->at > st.st_size - member->size)
		return -EINVAL;
	b->at = member->at;
	b->end = member->at + member->size;
	return 0;
}

int source_blob(struct source *s, const char *name, struct blob *ret, struct err *e)
{
	struct blob b = { .source = s, .fd = -1 };
	int rc = find_blob(s, name, &b);

	if (rc == 0 && !(b.buffer = malloc(BLOB_CHUNK)))
		rc = -ENOMEM;
	if (rc < 0) {
		if (b.fd >= 0)
			close(b.fd);
		return err_sys(e, -rc, "source: %.200s", name ? name : "the file");
	}
	sha256_init(&b.sum);
	*ret = b;
	return 0;
}

ssize_t blob_read(struct blob *b, const void **ret)
{
	off_t left = b->end - b->at;
	ssize_t n;

	if (left <= 0)
		return 0;
	n = pread(b->fd >= 0 ? b->fd : b->source->fd, b->buffer,
		  left < BLOB_CHUNK ? (size_t)left : BLOB_CHUNK, b->at);
	if (n < 0)
		return -errno;
	sha256_update(&b->sum, (size_t)n, (const uint8_t *)b->buffer);
	b->at = n ? b->at + n : b->end; /* shorter than it was */
	if (b->source->done)
		atomic_fetch_add_explicit(b->source->done, (uint64_t)n, memory_order_relaxed);
	*ret = b->buffer;
	return n;
}

int blob_finish(struct blob *b, char digest[DIGEST_TEXT], struct err *e)
{
	const void *data;
	ssize_t n;

	while ((n = blob_read(b, &data)) > 0)
		continue;
	if (n < 0)
		return err_sys(e, (int)-n, "source");
	digest_text(&b->sum, digest);
	return 0;
}

void blob_free(struct blob *b)
{
	if (b->fd >= 0)
		close(b->fd);
	free(b->buffer);
	*b = (struct blob){ .fd = -1 };
}

int source_read(struct source *s, const char *name, size_t max, struct text *out,
		char digest[DIGEST_TEXT], struct err *e)
{
	char sum[DIGEST_TEXT];
	const void *data;
	struct blob b;
	ssize_t n = 0;
	int rc = source_blob(s, name, &b, e);

	if (rc < 0)
		return rc;
	if (b.end - b.at > (off_t)max)
		rc = err_set(e, -EINVAL, "source: %.200s is larger than %zu bytes", name, max);
	while (rc == 0 && (n = blob_read(&b, &data)) > 0)
		text_add_bytes(out, data, (size_t)n);
	if (rc == 0 && (n < 0 || text_failed(out)))
		rc = err_sys(e, n < 0 ? (int)-n : ENOMEM, "source: %.200s", name);
	if (rc == 0)
		rc = blob_finish(&b, digest ? digest : sum, e);
	blob_free(&b);
	return rc;
}
