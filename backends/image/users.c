/* Users of an image: see users.h; passwd(5), group(5). */
#include "backends/image/users.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/text.h"
#include "backends/host/openin.h"

static int read_file(int root, const char *name, struct text *out)
{
	int fd = open_in(root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY,
			 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	struct stat st;
	int rc = -1;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		rc = text_read_fd(out, fd);
	close(fd);
	return rc;
}

static bool number(const char *s, uint32_t *ret)
{
	unsigned long long n = strtoull(s, NULL, 10);

	if (!*s || s[strspn(s, "0123456789")] || strlen(s) > 10 || n >= UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* Field n of a line "a:b:c", into buf; false: it has not so many, or it is longer. */
static bool field(const char *line, int n, char buf[64])
{
	size_t end = strcspn(line, "\n"), len;

	for (; n > 0; n--) {
		size_t skip = strcspn(line, ":\n");

		if (skip >= end)
			return false;
		line += skip + 1;
		end -= skip + 1;
	}
	len = strcspn(line, ":\n");
	if (len >= 64)
		return false;
	memcpy(buf, line, len);
	buf[len] = '\0';
	return true;
}

/* The line whose field n is `key`, or NULL. */
static const char *find_line(const struct text *file, int n, const char *key)
{
	const char *line = text_str(file);
	char buf[64];

	for (; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (field(line, n, buf) && !strcmp(buf, key))
			return line;
	return NULL;
}

bool users_resolve(int root, const char *user, char ret[32])
{
	struct text passwd = TEXT_INIT, group = TEXT_INIT;
	char name[128], buf[64];
	const char *colon = strchr(user, ':'), *line, *of = colon ? colon + 1 : "";
	uint32_t uid, gid = 0;
	bool known;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(user, ":"), user);
	read_file(root, "etc/passwd", &passwd);
	read_file(root, "etc/group", &group);
	known = number(name, &uid);
	line = find_line(&passwd, known ? 2 : 0, name);
	if (!known)
		known = line && field(line, 2, buf) && number(buf, &uid);
	if (line && field(line, 3, buf))
		number(buf, &gid);
	if (*of && !number(of, &gid)) {
		line = find_line(&group, 0, of);
		known = known && line && field(line, 2, buf) && number(buf, &gid);
	}
	snprintf(ret, 32, "%u:%u", uid, gid);
	text_free(&passwd);
	text_free(&group);
	return known;
}
