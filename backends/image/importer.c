/* The importer: see importer.h. */
#include "backends/image/importer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/base/rmtree.h"
#include "backends/host/envelope.h"
#include "backends/image/copy.h"
#include "backends/image/importer_filter.h"
#include "backends/image/layers.h"
#include "backends/image/oci.h"
#include "backends/image/source.h"
#include "backends/image/tree.h"
#include "backends/image/unpack.h"
#include "backends/image/users.h"
#include "backends/monitor/wire.h"

#define MEMORY_MAX (2ul << 30)

/* Not from sys/mount.h, whose names clash with those of linux/mount.h in this C library. */
#define CLONE_TREE 1 /* open_tree(2) */

struct import {
	const struct wire_import *task;
	int data, root; /* directories */
	struct source source;
	struct tree *tree;
	struct import_progress *progress;
	enum image_type type;
	struct wire_imported answer;
	struct text run;
};

/* ---- walls ---- */

/* The daemon says nothing more: whatever happens to the socket is its end, and then ours. */
static int end_with_socket(void)
{
	if (fcntl(IMPORTER_FD, F_SETOWN, getpid()) < 0 ||
	    fcntl(IMPORTER_FD, F_SETFL, fcntl(IMPORTER_FD, F_GETFL) | O_ASYNC) < 0)
		return -errno;
	return 0;
}

static void limit(int which, rlim_t most)
{
	const struct rlimit r = { most, most };

	setrlimit(which, &r);
}

/* What a tree of files takes, and, to open the source, being somebody else. */
static int keep_capabilities(bool somebody)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH |
			1u << CAP_FOWNER | 1u << CAP_FSETID | 1u << CAP_SETFCAP;

	if (somebody)
		keep |= 1u << CAP_SETUID | 1u << CAP_SETGID;
	data[0].effective = data[0].permitted = (uint32_t)keep;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, data) < 0)
		return -errno;
	return 0;
}

/* A copy of the source's mount: above a directory that is nowhere there is nothing. */
static void close_above(int *source)
{
	int fd = (int)syscall(SYS_open_tree, *source, "", CLONE_TREE | O_CLOEXEC | AT_EMPTY_PATH);

	if (fd < 0)
		return;
	close(*source);
	*source = fd;
}

/*
 * Who is not root has namespaces by a user namespace only, where no other user's files could be
 * made; he is walled in by being himself.
 */
static int wall_in(int dir, int *source, bool directory, uid_t uid, struct err *e)
{
	int rc;

#ifndef __SANITIZE_ADDRESS__ /* whose shadow takes terabytes of addresses */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 1024);
	if (geteuid() != 0)
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(e, errno, "import")
								  : importer_filter_install(e);
	if (directory)
		close_above(source);
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_sys(e, errno, "import: namespaces");
	if (fchdir(dir) < 0 || chroot(".") < 0)
		return err_sys(e, errno, "import: root directory");
	rc = keep_capabilities(directory && uid != 0);
	return rc < 0 ? err_sys(e, -rc, "import: capabilities") : importer_filter_install(e);
}

/* ---- what it is ---- */

static enum image_type file_type(struct source *s)
{
	unsigned char head[4] = { 0 }, later[4] = { 0 };

	if (pread(s->fd, head, 4, 0) == 4 && !memcmp(head, "hsqs", 4))
		return IMAGE_SQUASHFS;
	if (pread(s->fd, later, 4, 1024) == 4 && !memcmp(later, "\xe2\xe1\xf5\xe0", 4))
		return IMAGE_EROFS;
	/* What cannot be looked through may be packed. */
	if (source_index(s, NULL) == 0 && source_has(s, "oci-layout"))
		return IMAGE_OCI;
	return IMAGE_TAR;
}

/* What older engines write would be taken for a tree of files: one of layers and documents. */
static bool docker_archive(struct source *s)
{
	return !s->directory && source_has(s, "manifest.json") && source_has(s, "repositories");
}

static int find_type(struct import *i, struct err *e)
{
	i->type = (enum image_type)i->task->type;
	if (i->type == IMAGE_AUTO && i->source.directory)
		i->type = source_has(&i->source, "oci-layout") ? IMAGE_OCI : IMAGE_DIRECTORY;
	else if (i->type == IMAGE_AUTO)
		i->type = file_type(&i->source);
	else if (i->type == IMAGE_OCI && !i->source.directory && source_index(&i->source, e) < 0)
		return e->code;
	if (i->task->type == IMAGE_AUTO && i->type == IMAGE_TAR && docker_archive(&i->source))
		return err_set(e, -EINVAL,
			       "source: an archive as docker save writes it, no OCI layout: "
			       "`skopeo copy docker-archive:FILE oci:DIR` makes one of it, podman "
			       "save --format oci-archive writes one");
	if (i->source.directory && i->type != IMAGE_OCI && i->type != IMAGE_DIRECTORY)
		return err_set(e, -EINVAL, "type: the source is a directory");
	if (!i->source.directory && i->type == IMAGE_DIRECTORY)
		return err_set(e, -EINVAL, "type: the source is no directory");
	if (i->type == IMAGE_OCI && !source_has(&i->source, "index.json"))
		return err_set(e, -EINVAL,
			       "source: no OCI image layout: it has no index.json; an archive of "
			       "one must not be packed");
	return 0;
}

/* ---- unpacking ---- */

static int open_root(struct import *i, bool anew, struct err *e)
{
	int rc = anew ? rmtree(i->data, "root") : 0;

	if (rc < 0)
		return err_sys(e, -rc, "import: what is left of an earlier one");
	if (mkdirat(i->data, "root", 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "import");
	i->root = openat(i->data, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (i->root < 0)
		return err_sys(e, errno, "import");
	return tree_new(i->root, i->task->bytes_max, IMAGE_ENTRIES_MAX, &i->tree, e);
}

static int check_digest(const struct import *i, const char *digest, struct err *e)
{
	if (*i->task->digest && strcmp(i->task->digest, digest))
		return err_set(e, -EINVAL, "source.digest: it is %s", digest);
	return 0;
}

static int unpack_layer(struct import *i, const struct oci_descriptor *layer, struct err *e)
{
	char name[96], digest[DIGEST_TEXT];
	struct blob blob;
	int rc;

	oci_blob_name(layer->digest, name);
	rc = source_blob(&i->source, name, &blob, e);
	if (rc < 0)
		return rc;
	if ((uint64_t)(blob.end - blob.at) != layer->size)
		rc = err_set(e, -EINVAL, "source: layer %s is not of the size that it should be",
			     layer->digest);
	if (rc == 0)
		rc = unpack_tar(&blob, i->tree, true, e);
	if (rc == 0)
		rc = blob_finish(&blob, digest, e);
	if (rc == 0 && strcmp(digest, layer->digest))
		rc = err_set(e, -EINVAL, "source: layer %s is another one: %s", layer->digest,
			     digest);
	blob_free(&blob);
	return rc < 0 ? rc : tree_settle(i->tree, e);
}

static int unpack_layers(struct import *i, const struct oci_image *image, struct err *e)
{
	size_t there = layers_read(i->data, image);
	int rc = open_root(i, there == 0, e);

	atomic_store(&i->progress->done, 0);
	atomic_store(&i->progress->all, image->bytes);
	if (rc == 0 && there)
		rc = tree_recount(i->tree, e);
	for (size_t n = 0; n < there; n++)
		atomic_fetch_add(&i->progress->done, image->layers[n].size);
	for (size_t n = there; rc == 0 && n < image->nlayers; n++) {
		rc = unpack_layer(i, &image->layers[n], e);
		/* A layer by half is done again, which comes to the same; a false one is not. */
		if (rc == 0)
			rc = layers_write(i->data, image, n + 1, e);
	}
	return rc;
}

static int import_oci(struct import *i, struct err *e)
{
	struct oci_image *image = calloc(1, sizeof(*image));
	int rc = image ? oci_read(&i->source, i->task->name, image, e)
		       : err_sys(e, ENOMEM, "import");

	if (rc == 0)
		rc = check_digest(i, image->manifest.digest, e);
	if (rc == 0)
		rc = unpack_layers(i, image, e);
	if (rc == 0) {
		strcpy(i->answer.digest, image->manifest.digest);
		text_add(&i->run, text_str(&image->run));
	}
	if (image)
		oci_free(image);
	free(image);
	return rc;
}

static int import_tar(struct import *i, struct err *e)
{
	struct blob blob;
	int rc = source_blob(&i->source, NULL, &blob, e);

	if (rc < 0)
		return rc;
	atomic_store(&i->progress->all, (uint64_t)blob.end);
	rc = open_root(i, true, e);
	if (rc == 0)
		rc = unpack_tar(&blob, i->tree, false, e);
	if (rc == 0)
		rc = blob_finish(&blob, i->answer.digest, e);
	blob_free(&blob);
	if (rc == 0)
		rc = check_digest(i, i->answer.digest, e);
	return rc < 0 ? rc : tree_settle(i->tree, e);
}

static int import_directory(struct import *i, struct err *e)
{
	int rc = open_root(i, true, e);

	atomic_store(&i->progress->all, copy_size(&i->source));
	if (rc == 0)
		rc = copy_tree(&i->source, i->tree, e);
	return rc < 0 ? rc : tree_settle(i->tree, e);
}

/* The file itself is kept; its kernel mounts it. */
static int import_filesystem(struct import *i, struct err *e)
{
	struct blob blob;
	const void *data;
	ssize_t n = 0;
	int to, rc = source_blob(&i->source, NULL, &blob, e);

	if (rc < 0)
		return rc;
	atomic_store(&i->progress->all, (uint64_t)blob.end);
	to = openat(i->data, "filesystem", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (to < 0)
		rc = err_sys(e, errno, "import");
	if (rc == 0 && (uint64_t)blob.end > i->task->bytes_max)
		rc = err_set(e, -ENOSPC, "size.max: the image has more than %llu bytes",
			     (unsigned long long)i->task->bytes_max);
	while (rc == 0 && (n = blob_read(&blob, &data)) > 0)
		if (write(to, data, (size_t)n) != n)
			rc = err_sys(e, errno, "import");
	if (rc == 0 && (n < 0 || fsync(to) < 0))
		rc = err_sys(e, n < 0 ? (int)-n : errno, "import");
	if (rc == 0)
		rc = blob_finish(&blob, i->answer.digest, e);
	if (rc == 0)
		rc = check_digest(i, i->answer.digest, e);
	i->answer.counts[0] = (uint64_t)blob.end;
	strcpy(i->answer.tree, i->answer.digest);
	if (to >= 0)
		close(to);
	blob_free(&blob);
	return rc;
}

/* Who its program runs as, by number; nothing where the image does not know him. */
static void resolve_user(struct import *i)
{
	const char *line = text_str(&i->run);
	char user[256], ids[32];

	for (; *line; line += strcspn(line, "\n") + 1)
		if (!strncmp(line, "user ", 5))
			break;
	if (!*line)
		return;
	snprintf(user, sizeof(user), "%.*s", (int)strcspn(line + 5, "\n"), line + 5);
	if (users_resolve(i->root, user, ids))
		text_addf(&i->run, "user.ids %s\n", ids);
}

static int import_any(struct import *i, struct err *e)
{
	switch (i->type) {
	case IMAGE_OCI:
		return import_oci(i, e);
	case IMAGE_TAR:
		return import_tar(i, e);
	case IMAGE_DIRECTORY:
		return import_directory(i, e);
	default:
		return import_filesystem(i, e);
	}
}

/* What was unpacked is summed up, so that it can be verified later. */
static int import_seal(struct import *i, struct err *e)
{
	int rc = 0;

	if (i->root >= 0)
		rc = digest_tree(i->root, NULL, i->answer.tree, e);
	if (rc == 0 && i->type == IMAGE_DIRECTORY) {
		strcpy(i->answer.digest, i->answer.tree);
		rc = check_digest(i, i->answer.digest, e);
	}
	if (rc == 0 && i->root >= 0)
		resolve_user(i);
	if (rc == 0)
		unlinkat(i->data, "layers", 0);
	return rc;
}

static int task_unpack(struct import *i, struct err *e)
{
	int rc = find_type(i, e);

	if (rc == 0)
		rc = import_any(i, e);
	if (rc == 0)
		rc = import_seal(i, e);
	i->answer.type = i->type;
	if (i->tree)
		memcpy(i->answer.counts, tree_counts(i->tree), sizeof(i->answer.counts));
	return rc;
}

/* ---- the other tasks ---- */

static int verify_file(struct import *i, int fd, struct err *e)
{
	struct blob blob;
	int rc;

	i->source.fd = fd;
	i->source.directory = false;
	rc = source_blob(&i->source, NULL, &blob, e);
	if (rc == 0)
		rc = blob_finish(&blob, i->answer.tree, e);
	blob_free(&blob);
	return rc;
}

static int task_verify(struct import *i, struct err *e)
{
	int fd = openat(i->data, "filesystem", O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

	atomic_store(&i->progress->done, 0);
	atomic_store(&i->progress->all, i->task->bytes_max);
	if (fd >= 0) {
		rc = verify_file(i, fd, e);
		close(fd);
		return rc;
	}
	i->root = openat(i->data, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (i->root < 0)
		return err_sys(e, errno, "verify");
	return digest_tree(i->root, &i->progress->done, i->answer.tree, e);
}

static int task_remove(struct import *i, struct err *e)
{
	int rc = rmtree(i->data, i->task->name);

	return rc < 0 ? err_sys(e, -rc, "remove: %s", i->task->name) : 0;
}

/* ---- its life ---- */

static int import_source(struct import *i, int *fd, struct err *e)
{
	struct stat st;

	if (envelope_open(fd, e) < 0)
		return err_prefix(e, "source: ");
	if (fstat(*fd, &st) < 0)
		return err_sys(e, errno, "source");
	i->source.directory = S_ISDIR(st.st_mode);
	return cred_find(i->task->uid, i->task->gid, &i->source.owner, e);
}

static int import_prepare(struct import *i, struct wire_message *m, struct err *e)
{
	const struct wire_import *t = i->task;
	int want = t->task == IMPORT_REMOVE ? 1 : 3, rc = 0;

	if (t->task >= IMPORT_TASKS || t->type >= IMAGE_TYPES || m->nfds != want)
		return err_set(e, -EINVAL, "import: no such task");
	i->data = m->fds[0];
	if (want == 3) {
		rc = import_source(i, &m->fds[1], e);
		i->progress = mmap(NULL, sizeof(*i->progress), PROT_READ | PROT_WRITE, MAP_SHARED,
				   m->fds[2], 0);
		if (rc == 0 && i->progress == MAP_FAILED)
			rc = err_sys(e, errno, "import: progress");
	}
	if (rc == 0)
		rc = wall_in(i->data, &m->fds[want == 3], i->source.directory, t->uid, e);
	if (rc < 0)
		return rc;
	i->source.fd = m->fds[want == 3];
	i->source.done = want == 3 ? &i->progress->done : NULL;
	/* The one before may still be dying. */
	return flock(i->data, LOCK_EX) < 0 ? err_sys(e, errno, "import") : 0;
}

static int import_run(struct import *i, struct wire_message *m, struct err *e)
{
	int rc = import_prepare(i, m, e);

	if (rc < 0)
		return rc;
	switch (i->task->task) {
	case IMPORT_UNPACK:
		return task_unpack(i, e);
	case IMPORT_VERIFY:
		return task_verify(i, e);
	default:
		return task_remove(i, e);
	}
}

static void import_answer(struct import *i, const struct err *e)
{
	fcntl(IMPORTER_FD, F_SETFL, fcntl(IMPORTER_FD, F_GETFL) & ~O_ASYNC);
	i->answer.reply.code = e->code;
	snprintf(i->answer.reply.text, sizeof(i->answer.reply.text), "%s", e->text);
	if (i->run.len > WIRE_CONFIG_MAX || text_failed(&i->run))
		text_clear(&i->run);
	wire_send(IMPORTER_FD, WIRE_IMPORTED, 1, &i->answer, sizeof(i->answer), text_str(&i->run),
		  i->run.len, NULL, 0);
}

int importer_main(void)
{
	struct wire_message *m = malloc(sizeof(*m));
	struct pollfd p = { .fd = IMPORTER_FD, .events = POLLIN };
	struct import i = { .data = -1, .root = -1 };
	struct err e = { 0 };
	sigset_t none;

	if (!m)
		return -ENOMEM;
	close_range(IMPORTER_FD + 1, ~0u, 0);
	setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives are UTF-8 */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	poll(&p, 1, -1);
	if (wire_recv(IMPORTER_FD, WIRE_ASKER, m) == 1 && m->header.type == WIRE_IMPORT &&
	    end_with_socket() == 0) {
		struct wire_import *task = (struct wire_import *)m->body;

		task->name[sizeof(task->name) - 1] = '\0';
		task->digest[sizeof(task->digest) - 1] = '\0';
		i.task = task;
		if (import_run(&i, m, &e) == 0)
			e.code = 0;
		import_answer(&i, &e);
	}
	tree_free(i.tree);
	source_free(&i.source);
	text_free(&i.run);
	free(m);
	return 0;
}
