/*
 * The documents of an OCI layout, and an image's passwd: the first byte says which. What is
 * accepted is whole: digests are digests, lines are lines that a user could have written.
 */
#include <sys/stat.h>

#include "backends/image/oci.h"
#include "backends/image/users.h"
#include "fs/image/image.h"
#include "tests/fuzz/fuzz.h"

static void index_or_manifest(char which, const char *data, size_t len)
{
	struct oci_image *image = calloc(1, sizeof(*image));
	struct oci_descriptor d = { 0 };
	struct err e = { 0 };
	bool nested;
	int rc;

	fuzz_check(image != NULL);
	if (which == 'i') {
		rc = oci_parse_index(data, len, len & 1 ? "latest" : "", &d, &nested, &e);
		fuzz_check(rc < 0 || digest_valid(d.digest));
	} else {
		rc = oci_parse_manifest(data, len, image, &e);
		for (size_t i = 0; rc == 0 && i < image->nlayers; i++)
			fuzz_check(digest_valid(image->layers[i].digest));
		fuzz_check(image->nlayers <= OCI_LAYERS_MAX);
	}
	fuzz_check(rc == 0 || (e.code == rc && *e.text));
	oci_free(image);
	free(image);
}

static void configuration(const char *data, size_t len)
{
	struct text run = TEXT_INIT;
	struct err e = { 0 };
	int rc = oci_parse_config(data, len, &run, &e);

	fuzz_check(rc == 0 || (e.code == rc && *e.text));
	for (const char *line = text_str(&run); *line; line += strcspn(line, "\n") + 1) {
		char key[64];

		fuzz_check(strchr(line, '\n') != NULL);
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(line, " \n"), line);
		fuzz_check(schema_find(&image_found_schema, key) != NULL);
	}
	text_free(&run);
}

/* Up to a NUL the user, behind it /etc/passwd and /etc/group. */
static void users(const char *data, size_t len)
{
	const char *end = memchr(data, '\0', len);
	char root[] = "/tmp/fuzz-oci-XXXXXX", ids[32], path[64];
	unsigned uid, gid;
	int fd;

	if (!end || end - data > 200 || !mkdtemp(root))
		return;
	snprintf(path, sizeof(path), "%s/etc", root);
	mkdir(path, 0700);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/etc/%s", root, i ? "group" : "passwd");
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		fuzz_check(write(fd, end + 1, len - (size_t)(end + 1 - data)) >= 0);
		close(fd);
	}
	fd = open(root, O_RDONLY | O_DIRECTORY);
	if (users_resolve(fd, data, ids))
		fuzz_check(sscanf(ids, "%u:%u", &uid, &gid) == 2);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "etc/%s", i ? "group" : "passwd");
		unlinkat(fd, path, 0);
	}
	unlinkat(fd, "etc", AT_REMOVEDIR);
	close(fd);
	rmdir(root);
}

static void one(const char *data, size_t len)
{
	if (!len)
		return;
	switch (data[0]) {
	case 'i':
	case 'm':
		index_or_manifest(data[0], data + 1, len - 1);
		break;
	case 'c':
		configuration(data + 1, len - 1);
		break;
	case 'u':
		users(data + 1, len - 1);
		break;
	}
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
