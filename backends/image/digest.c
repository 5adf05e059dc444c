/* Digests: see digest.h. */
#include "backends/image/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/image/tree.h"

#define BLOCK	  65536
#define XATTR_MAX 65536

void digest_text(struct sha256_ctx *c, char ret[DIGEST_TEXT])
{
	uint8_t bytes[SHA256_DIGEST_SIZE];

	sha256_digest(c, sizeof(bytes), bytes);
	strcpy(ret, "sha256:");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 7 + 2 * i, 3, "%02x", bytes[i]);
}

bool digest_valid(const char *text)
{
	return !strncmp(text, "sha256:", 7) && strlen(text) == 71 &&
	       strspn(text + 7, "0123456789abcdef") == 64;
}

/* A walk over the tree; the buffers are too large for the stack. */
struct walk {
	struct sha256_ctx sum;
	_Atomic uint64_t *done;
	char block[BLOCK];
	char value[XATTR_MAX];
	char names[XATTR_MAX];
};

static void add(struct walk *w, const void *data, size_t len)
{
	sha256_update(&w->sum, len, data);
}

static void add_number(struct walk *w, uint64_t n)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(n >> 8 * i);
	add(w, bytes, sizeof(bytes));
}

static bool all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* Block by block; one of zeros only and a hole are the same, and are passed over. */
static int add_data(struct walk *w, int fd, off_t size)
{
	for (off_t at = 0; at < size;) {
		off_t data = lseek(fd, at, SEEK_DATA);
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > at)
			at = data - data % BLOCK;
		n = pread(fd, w->block, BLOCK, at);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (!all_zero(w->block, (size_t)n)) {
			add_number(w, (uint64_t)at);
			add(w, w->block, (size_t)n);
		}
		if (w->done)
			atomic_fetch_add_explicit(w->done, (uint64_t)n, memory_order_relaxed);
		at += n;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Those that the tree keeps, sorted. */
static int add_xattrs(struct walk *w, int fd)
{
	ssize_t n = flistxattr(fd, w->names, sizeof(w->names)), size;
	const char *last = "", *next;

	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (;; last = next) {
		next = NULL;
		for (char *p = w->names; p < w->names + n; p += strlen(p) + 1)
			if (tree_xattr_taken(p) && strcmp(p, last) > 0 &&
			    (!next || strcmp(p, next) < 0))
				next = p;
		if (!next)
			return 0;
		size = fgetxattr(fd, next, w->value, sizeof(w->value));
		if (size < 0)
			return -errno;
		add(w, next, strlen(next) + 1);
		add_number(w, (uint64_t)size);
		add(w, w->value, (size_t)size);
	}
}

static int add_link(struct walk *w, int dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0)
		return -errno;
	add_number(w, (uint64_t)n);
	add(w, target, (size_t)n);
	return 0;
}

static int add_directory(struct walk *w, int fd, int depth);

static int add_entry(struct walk *w, int dir, const char *name, int depth)
{
	struct stat st;
	int fd, rc;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	add(w, name, strlen(name) + 1);
	add_number(w, st.st_mode);
	add_number(w, st.st_uid);
	add_number(w, st.st_gid);
	if (S_ISLNK(st.st_mode))
		return add_link(w, dir, name);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = add_xattrs(w, fd);
	if (rc == 0 && S_ISDIR(st.st_mode))
		return add_directory(w, fd, depth + 1);
	add_number(w, (uint64_t)st.st_size);
	if (rc == 0)
		rc = add_data(w, fd, st.st_size);
	close(fd);
	return rc;
}

struct names {
	char **list;
	size_t n, room;
};

static int names_add(struct names *l, const char *name)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 32;
		char **more = realloc(l->list, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->list = more;
		l->room = room;
	}
	l->list[l->n] = strdup(name);
	return l->list[l->n] ? (l->n++, 0) : -ENOMEM;
}

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
}

/* Takes fd over. */
static int add_directory(struct walk *w, int fd, int depth)
{
	DIR *dir = depth > TREE_DEPTH_MAX ? NULL : fdopendir(fd);
	struct names names = { 0 };
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		close(fd);
		return -EIO;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = names_add(&names, entry->d_name);
	if (names.n)
		qsort(names.list, names.n, sizeof(*names.list), by_name);
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = add_entry(w, fd, names.list[i], depth);
	add(w, "", 1); /* the directory's end: no name is empty */
	names_free(&names);
	closedir(dir);
	return rc;
}

int digest_tree(int root, _Atomic uint64_t *done, char ret[DIGEST_TEXT], struct err *e)
{
	struct walk *w = malloc(sizeof(*w));
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct stat st;

	if (!w || fd < 0 || fstat(fd, &st) < 0) {
		rc = err_sys(e, w ? errno : ENOMEM, "digest");
		if (fd >= 0)
			close(fd);
		free(w);
		return rc;
	}
	sha256_init(&w->sum);
	w->done = done;
	add_number(w, st.st_mode);
	add_number(w, st.st_uid);
	add_number(w, st.st_gid);
	rc = add_directory(w, fd, 0);
	if (rc == 0)
		digest_text(&w->sum, ret);
	free(w);
	return rc < 0 ? err_sys(e, -rc, "digest") : 0;
}
