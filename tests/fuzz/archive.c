/*
 * unpack_tar() as a layer of an image, into a directory: whatever the archive says, nothing beside
 * that directory changes, and no more is written than may be.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "backends/base/rmtree.h"
#include "backends/image/unpack.h"
#include "tests/fuzz/fuzz.h"

#define BYTES_MAX 65536

static int outside = -1; // it has one file, `kept`, and `root`, where the archive goes

static void check_outside(void)
{
	struct dirent *entry;
	int copy = openat(outside, ".", O_RDONLY | O_DIRECTORY), n = 0;
	DIR *dir = fdopendir(copy);
	struct stat st;

	fuzz_check(dir != NULL);
	while ((entry = readdir(dir)))
		n++;
	closedir(dir);
	fuzz_check(n == 4); // with . and ..
	fuzz_check(fstatat(outside, "kept", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		   st.st_size == 4 && st.st_nlink == 1);
}

static void one(const char *data, size_t len)
{
	struct source s = { .fd = memfd_create("archive", MFD_CLOEXEC) };
	char digest[DIGEST_TEXT];
	struct tree *tree;
	struct blob b;
	struct err e = { 0 };
	int root, rc;

	fuzz_check(s.fd >= 0 && write(s.fd, data, len) == (ssize_t)len);
	fuzz_check(mkdirat(outside, "root", 0700) == 0);
	root = openat(outside, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fuzz_check(tree_new(root, BYTES_MAX, 100, &tree, &e) == 0);
	fuzz_check(source_blob(&s, NULL, &b, &e) == 0);
	rc = unpack_tar(&b, tree, len & 1, &e);
	fuzz_check(rc == 0 || (e.code == rc && *e.text));
	fuzz_check(tree_counts(tree)->bytes <= BYTES_MAX);
	fuzz_check(blob_finish(&b, digest, &e) == 0 && digest_valid(digest));
	blob_free(&b);
	tree_free(tree);
	close(root);
	close(s.fd);
	check_outside();
	fuzz_check(rmtree(outside, "root") == 0);
}

int main(int argc, char **argv)
{
	char base[] = "/dev/shm/fuzz-archive-XXXXXX";
	int fd, rc;

	if (!mkdtemp(base))
		return 1;
	outside = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(outside, "kept", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fuzz_check(fd >= 0 && write(fd, "kept", 4) == 4);
	close(fd);
	rc = fuzz_main(argc, argv, one);
	rmtree(outside, "root");
	unlinkat(outside, "kept", 0);
	rmdir(base);
	return rc;
}
