/* unpack_tar(): see unpack.h; OCI image specification, "Image Layer Filesystem Changeset". */
#include "backends/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define WHITEOUT ".wh."
#define OPAQUE	 ".wh..wh..opq"
#define SLACK	 (64u << 20) /* bytes of an archive that are no data of files */

/* An archive while it is unpacked. */
struct unpack {
	struct archive *archive;
	struct tree *tree;
	bool layer;
	uint64_t drained; /* data that belongs to nothing */
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **ret)
{
	ssize_t n = blob_read(arg, ret);

	if (n < 0)
		archive_set_error(a, (int)-n, "cannot be read: %s", strerror((int)-n));
	return n;
}

static int refuse_archive(struct unpack *u, struct err *e)
{
	int errnum = archive_errno(u->archive);
	const char *why = archive_error_string(u->archive);

	return err_set(e, errnum == EIO || errnum == ENOMEM ? -EIO : -EINVAL,
		       "source: the archive: %.200s", why ? why : "cannot be read");
}

/*
 * Data comes in stretches, with holes between them. Nothing is skipped, since the time that takes
 * is the archive's to choose, and data of no file counts as well.
 */
static int copy_data(struct unpack *u, const struct tree_entry *entry, int fd, struct err *e)
{
	const void *data;
	size_t len;
	la_int64_t at;
	int got, rc = 0;

	while (rc == 0 &&
	       (got = archive_read_data_block(u->archive, &data, &len, &at)) != ARCHIVE_EOF) {
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return refuse_archive(u, e);
		if (at < 0)
			return err_set(e, -EINVAL, "source: the archive: data before its file");
		if (fd >= 0)
			rc = tree_write(u->tree, fd, entry, data, len, (uint64_t)at, e);
		else if ((u->drained += len) > SLACK)
			return err_set(e, -EINVAL,
				       "source: the archive: too much data that is no file's");
	}
	return rc;
}

static void give_xattrs(struct tree *t, int fd, void *arg)
{
	struct archive_entry *from = arg;
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(from);
	while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
		tree_xattr(t, fd, name, value, size);
}

/* ---- whiteouts ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* 1: it was one. Others of AUFS's own names mean nothing here. */
static int apply_whiteout(struct unpack *u, const char *path, struct err *e)
{
	const char *base = base_name(path);
	char target[PATH_MAX];
	int rc;

	if (!u->layer || strncmp(base, WHITEOUT, strlen(WHITEOUT)))
		return 0;
	if (strlen(path) >= sizeof(target))
		return err_set(e, -EINVAL, "source: a whiteout has too long a name");
	memcpy(target, path, (size_t)(base - path));
	target[base - path] = '\0';
	if (!strcmp(base, OPAQUE)) {
		rc = tree_opaque(u->tree, target, e);
		return rc < 0 ? rc : 1;
	}
	base += strlen(WHITEOUT);
	if (!strncmp(base, WHITEOUT, strlen(WHITEOUT)))
		return 1;
	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return err_set(e, -EINVAL, "source: a whiteout of nothing: \"%.200s\"", path);
	strcat(target, base);
	rc = tree_whiteout(u->tree, target, e);
	return rc < 0 ? rc : 1;
}

/* ---- entries ---- */

static struct tree_entry entry_of(struct archive_entry *from)
{
	la_int64_t size = archive_entry_size(from);

	return (struct tree_entry){
		.path = archive_entry_pathname(from),
		.mode = archive_entry_mode(from),
		.uid = (uid_t)archive_entry_uid(from),
		.gid = (gid_t)archive_entry_gid(from),
		.mtime = { archive_entry_mtime(from), archive_entry_mtime_nsec(from) },
		.target = archive_entry_symlink(from),
		.same = archive_entry_hardlink(from),
		.size = size < 0 ? 0 : (uint64_t)size,
		.xattrs = give_xattrs,
		.arg = from,
	};
}

static int check_entry(struct archive_entry *from, const struct tree_entry *entry, struct err *e)
{
	if (!entry->path)
		return err_set(e, -EINVAL, "source: the archive: an entry without a name");
	if (archive_entry_uid(from) < 0 || archive_entry_uid(from) >= UINT32_MAX ||
	    archive_entry_gid(from) < 0 || archive_entry_gid(from) >= UINT32_MAX)
		return err_set(e, -EINVAL, "source: its entry \"%.200s\" belongs to no possible id",
			       entry->path);
	return 0;
}

static int unpack_entry(struct unpack *u, struct archive_entry *from, struct err *e)
{
	struct tree_entry entry = entry_of(from);
	int fd = -1, rc = check_entry(from, &entry, e), closed;

	if (rc == 0)
		rc = apply_whiteout(u, entry.path, e);
	if (rc)
		return rc < 0 ? rc : copy_data(u, &entry, -1, e);
	rc = tree_add(u->tree, &entry, &fd, e);
	if (rc < 0)
		return rc;
	rc = copy_data(u, &entry, S_ISREG(entry.mode) ? fd : -1, e);
	closed = tree_close(u->tree, fd, &entry, rc < 0 ? NULL : e);
	return rc < 0 ? rc : closed;
}

static int unpack_all(struct unpack *u, struct err *e)
{
	struct archive_entry *entry;
	int got, rc = 0;

	while (rc == 0 && (got = archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF) {
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return refuse_archive(u, e);
		rc = unpack_entry(u, entry, e);
	}
	return rc;
}

int unpack_tar(struct blob *b, struct tree *t, bool layer, struct err *e)
{
	struct unpack u = { .archive = archive_read_new(), .tree = t, .layer = layer };
	int rc;

	if (!u.archive)
		return err_sys(e, ENOMEM, "source");
	archive_read_support_filter_gzip(u.archive);
	archive_read_support_filter_xz(u.archive);
	archive_read_support_filter_zstd(u.archive);
	archive_read_support_format_tar(u.archive);
	rc = archive_read_open(u.archive, b, NULL, on_read, NULL);
	rc = rc == ARCHIVE_OK ? unpack_all(&u, e) : refuse_archive(&u, e);
	archive_read_free(u.archive);
	return rc;
}
