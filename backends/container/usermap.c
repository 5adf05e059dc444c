/* The maps of a container's user namespace: see usermap.h; user_namespaces(7). */
#include "backends/container/usermap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel takes 340 lines in a map. */
#define RANGES_MAX 340

/* One line "NAME:START:COUNT" of subuid(5); NAME may be a uid. */
static bool line_grants(char *line, const char *name, uid_t uid, uint64_t start, uint64_t count)
{
	char *save = NULL, *end = NULL;
	const char *who = strtok_r(line, ":", &save), *from = strtok_r(NULL, ":", &save),
		   *many = strtok_r(NULL, ":\n", &save);
	uint64_t first, n;

	if (!many)
		return false;
	if (strcmp(who, name) && (strtoul(who, &end, 10) != uid || *end))
		return false;
	first = strtoull(from, NULL, 10);
	n = strtoull(many, NULL, 10);
	return start >= first && count <= n && start - first <= n - count;
}

static bool is_subordinate(const char *path, uid_t uid, uint64_t start, uint64_t count)
{
	char buffer[4096], line[256], name[64] = "";
	struct passwd pw, *found = NULL;
	bool granted = false;
	FILE *f;

	if (getpwuid_r(uid, &pw, buffer, sizeof(buffer), &found) == 0 && found)
		snprintf(name, sizeof(name), "%s", pw.pw_name);
	f = fopen(path, "re");
	while (f && !granted && fgets(line, sizeof(line), f))
		granted = line_grants(line, name, uid, start, count);
	if (f)
		fclose(f);
	return granted;
}

static int check_range(const struct id_map_range *range, uid_t uid, gid_t gid, struct err *e)
{
	if (range->count == 0)
		return err_set(e, -EINVAL, "user.map: a range of no ids");
	if (uid == 0 || (range->count == 1 && range->host == uid && range->host == gid))
		return 0;
	if ((range->count == 1 && range->host == uid) ||
	    is_subordinate("/etc/subuid", uid, range->host, range->count))
		if ((range->count == 1 && range->host == gid) ||
		    is_subordinate("/etc/subgid", uid, range->host, range->count))
			return 0;
	return err_set(e, -EPERM,
		       "user.map: %" PRIu32 " and %" PRIu32
		       " following are not the owner's subordinate ids (/etc/subuid, /etc/subgid)",
		       range->host, range->count - 1);
}

static void make_default(uid_t uid, gid_t gid, struct text *uids, struct text *gids)
{
	if (uid == 0) {
		text_add(uids, "0 0 4294967295\n");
		text_add(gids, "0 0 4294967295\n");
		return;
	}
	text_addf(uids, "0 %u 1\n", (unsigned int)uid);
	text_addf(gids, "0 %u 1\n", (unsigned int)gid);
}

int usermap_make(const struct id_map *map, uid_t uid, gid_t gid, struct text *uids,
		 struct text *gids, bool *ret_deny_setgroups, struct err *e)
{
	int r = 0;

	bool has_root = map->n == 0;

	if (map->n > RANGES_MAX)
		return err_set(e, -EINVAL, "user.map: more than %d ranges", RANGES_MAX);
	for (size_t i = 0; r == 0 && i < map->n; i++) {
		const struct id_map_range *range = &map->ranges[i];

		r = check_range(range, uid, gid, e);
		has_root |= range->container == 0;
		text_addf(uids, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", range->container,
			  range->host, range->count);
		text_addf(gids, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", range->container,
			  range->host, range->count);
	}
	if (r < 0)
		return r;
	if (!has_root) // the engine becomes 0 to build the container
		return err_set(e, -EINVAL, "user.map: 0 inside the container is not mapped");
	if (map->n == 0)
		make_default(uid, gid, uids, gids);
	if (text_failed(uids) || text_failed(gids))
		return err_sys(e, ENOMEM, "user.map");
	*ret_deny_setgroups = uid != 0 && map->n == 0;
	return 0;
}

static int write_proc(pid_t pid, const char *file, const char *text, struct err *e)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		n = write(fd, text, strlen(text));
	if (n < 0)
		err_sys(e, errno, "user.map: %s", file);
	if (fd >= 0)
		close(fd);
	return n < 0 ? e ? e->code : -EIO : 0;
}

int usermap_write(pid_t pid, const struct text *uids, const struct text *gids, bool deny_setgroups,
		  struct err *e)
{
	int r = 0;

	if (deny_setgroups)
		r = write_proc(pid, "setgroups", "deny", e);
	if (r == 0)
		r = write_proc(pid, "gid_map", text_str(gids), e);
	if (r == 0)
		r = write_proc(pid, "uid_map", text_str(uids), e);
	return r;
}
