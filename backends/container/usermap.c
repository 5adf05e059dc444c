/* The maps of a container's user namespace: see usermap.h; user_namespaces(7). */
#include "backends/container/usermap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/host/command.h"

/* The kernel takes 340 lines in a map. */
#define RANGES_MAX 340

#define NEWUIDMAP "/usr/bin/newuidmap"
#define NEWGIDMAP "/usr/bin/newgidmap"

/* Ids that somebody was given: start and following. */
struct range {
	uint64_t start, count;
};

/* One line "NAME:START:COUNT" of subuid(5); NAME may be a uid. Changes line. */
static bool line_parse(char *line, const struct cred *owner, struct range *ret)
{
	char *save = NULL, *end = NULL;
	const char *who = strtok_r(line, ":", &save), *from = strtok_r(NULL, ":", &save),
		   *many = strtok_r(NULL, ":\n", &save);

	if (!many)
		return false;
	if (strcmp(who, owner->name) && (strtoul(who, &end, 10) != owner->uid || *end))
		return false;
	ret->start = strtoull(from, NULL, 10);
	ret->count = strtoull(many, NULL, 10);
	return ret->count > 0 && ret->start + ret->count <= UINT32_MAX;
}

/* The ranges that a file gives the owner, as many as fit; returns their number. */
static size_t read_ranges(const char *path, const struct cred *owner, struct range ranges[],
			  size_t max)
{
	FILE *f = fopen(path, "re");
	char line[256];
	size_t n = 0;

	while (f && n < max && fgets(line, sizeof(line), f))
		n += line_parse(line, owner, &ranges[n]);
	if (f)
		fclose(f);
	return n;
}

static bool is_subordinate(const char *path, const struct cred *owner,
			   const struct id_map_range *range)
{
	struct range ranges[RANGES_MAX];
	size_t n = read_ranges(path, owner, ranges, RANGES_MAX);

	for (size_t i = 0; i < n; i++)
		if (range->host >= ranges[i].start && range->count <= ranges[i].count &&
		    range->host - ranges[i].start <= ranges[i].count - range->count)
			return true;
	return false;
}

/* His own line: see usermap.h. */
static bool is_owner(const struct id_map_range *range, const struct cred *owner)
{
	return owner->uid != 0 && range->count == 1 && range->host == owner->uid;
}

static int check_range(const struct id_map_range *range, const struct cred *owner, struct err *e)
{
	if (range->count == 0)
		return err_set(e, -EINVAL, "user.map: a range of no ids");
	if (owner->uid == 0 || is_owner(range, owner))
		return 0;
	if (!is_subordinate("/etc/subuid", owner, range))
		return err_set(e, -EPERM,
			       "user.map: %" PRIu32 " and %" PRIu32
			       " following are not user %u's by /etc/subuid",
			       range->host, range->count - 1, owner->uid);
	if (!is_subordinate("/etc/subgid", owner, range))
		return err_set(e, -EPERM,
			       "user.map: %" PRIu32 " and %" PRIu32
			       " following are not user %u's by /etc/subgid",
			       range->host, range->count - 1, owner->uid);
	return 0;
}

int usermap_check(const struct id_map *map, const struct cred *owner, struct err *e)
{
	int rc = 0;

	if (map->n > RANGES_MAX)
		return err_set(e, -EINVAL, "user.map: more than %d ranges", RANGES_MAX);
	for (size_t i = 0; rc == 0 && i < map->n; i++)
		rc = check_range(&map->ranges[i], owner, e);
	return rc;
}

/* ---- making ---- */

static void add_line(struct text *t, uint64_t container, uint64_t host, uint64_t count)
{
	text_addf(t, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", container, host, count);
}

static void add_subordinate(struct text *t, const struct range ranges[], size_t n)
{
	uint64_t container = 1;

	for (size_t i = 0; i < n && container + ranges[i].count <= UINT32_MAX; i++) {
		add_line(t, container, ranges[i].start, ranges[i].count);
		container += ranges[i].count;
	}
}

static bool can_help(void)
{
	return access(NEWUIDMAP, X_OK) == 0 && access(NEWGIDMAP, X_OK) == 0;
}

static void make_default(const struct cred *owner, struct usermap *u)
{
	struct range uids[RANGES_MAX - 1], gids[RANGES_MAX - 1];
	size_t nuids, ngids;

	if (owner->uid == 0) {
		add_line(&u->uids, 0, 0, UINT32_MAX);
		add_line(&u->gids, 0, 0, UINT32_MAX);
		return;
	}
	add_line(&u->uids, 0, owner->uid, 1);
	add_line(&u->gids, 0, owner->gid, 1);
	nuids = read_ranges("/etc/subuid", owner, uids, RANGES_MAX - 1);
	ngids = read_ranges("/etc/subgid", owner, gids, RANGES_MAX - 1);
	u->deny_setgroups = !nuids || !ngids || (geteuid() != 0 && !can_help());
	if (u->deny_setgroups)
		return;
	add_subordinate(&u->uids, uids, nuids);
	add_subordinate(&u->gids, gids, ngids);
}

static int make_given(const struct id_map *map, const struct cred *owner, struct usermap *u,
		      struct err *e)
{
	bool has_root = false;

	u->deny_setgroups = owner->uid != 0;
	for (size_t i = 0; i < map->n; i++) {
		const struct id_map_range *r = &map->ranges[i];
		bool himself = is_owner(r, owner);

		has_root |= r->container == 0;
		u->deny_setgroups &= himself;
		add_line(&u->uids, r->container, r->host, r->count);
		add_line(&u->gids, r->container, himself ? owner->gid : r->host, r->count);
	}
	if (!has_root)
		return err_set(e, -EINVAL, "user.map: 0 inside the container is not mapped");
	return 0;
}

int usermap_make(const struct id_map *map, const struct cred *owner, struct usermap *ret,
		 struct err *e)
{
	struct usermap u = { 0 };
	int rc = usermap_check(map, owner, e);

	if (rc == 0 && map->n == 0)
		make_default(owner, &u);
	else if (rc == 0)
		rc = make_given(map, owner, &u, e);
	if (rc == 0 && (text_failed(&u.uids) || text_failed(&u.gids)))
		rc = err_sys(e, ENOMEM, "user.map");
	if (rc < 0) {
		usermap_free(&u);
		return rc;
	}
	u.helped = geteuid() != 0 && !u.deny_setgroups;
	*ret = u;
	return 0;
}

void usermap_free(struct usermap *u)
{
	text_free(&u->uids);
	text_free(&u->gids);
}

bool usermap_outside(const char *map, unsigned id, unsigned *ret)
{
	unsigned inside, outside, count;

	for (; *map; map += strcspn(map, "\n"), map += *map == '\n')
		if (sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && id >= inside &&
		    id - inside < count) {
			*ret = outside + (id - inside);
			return true;
		}
	return false;
}

/* ---- writing ---- */

static int write_proc(pid_t pid, const char *file, const char *text, struct err *e)
{
	char path[64];
	ssize_t n = -1;
	int fd, saved;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		n = write(fd, text, strlen(text));
	saved = errno;
	if (fd >= 0)
		close(fd);
	return n < 0 ? err_sys(e, saved, "user.map: %s", file) : 0;
}

/* PROGRAM PID, and then each number of the map, as a word of its own. */
static int help(const char *program, pid_t pid, const struct text *map, struct err *e)
{
	char *argv[3 * RANGES_MAX + 3] = { (char *)program }, number[16], *save = NULL;
	char *copy = strdup(text_str(map));
	struct text said = TEXT_INIT;
	size_t n = 1;
	int rc;

	if (!copy)
		return err_sys(e, ENOMEM, "user.map");
	snprintf(number, sizeof(number), "%d", (int)pid);
	argv[n++] = number;
	for (char *word = strtok_r(copy, " \n", &save); word && n < 3 * RANGES_MAX + 2;
	     word = strtok_r(NULL, " \n", &save))
		argv[n++] = word;
	rc = command_run(argv, &said, e);
	if (rc == -ENOENT)
		err_set(e, rc = -ENXIO,
			"user.map: %s is missing (Debian: uidmap); without it only the owner "
			"himself "
			"can be mapped",
			program);
	else if (rc < 0)
		err_prefix(e, "user.map: ");
	else if (rc)
		rc = err_set(e, -EPERM, "user.map: %s refuses: %s", program, text_str(&said));
	free(copy);
	text_free(&said);
	return rc;
}

int usermap_write(pid_t pid, const struct usermap *u, struct err *e)
{
	int rc = 0;

	if (u->helped) {
		rc = help(NEWGIDMAP, pid, &u->gids, e);
		return rc < 0 ? rc : help(NEWUIDMAP, pid, &u->uids, e);
	}
	if (u->deny_setgroups)
		rc = write_proc(pid, "setgroups", "deny", e);
	if (rc == 0)
		rc = write_proc(pid, "gid_map", text_str(&u->gids), e);
	if (rc == 0)
		rc = write_proc(pid, "uid_map", text_str(&u->uids), e);
	return rc;
}

static int read_proc(pid_t pid, const char *name, struct text *ret, struct err *e)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	rc = fd < 0 ? -errno : text_read_fd(ret, fd);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? err_sys(e, -rc, "namespaces.join: user: %s", name) : 0;
}

int usermap_read(pid_t pid, struct usermap *ret, struct err *e)
{
	int rc = read_proc(pid, "uid_map", &ret->uids, e);

	return rc < 0 ? rc : read_proc(pid, "gid_map", &ret->gids, e);
}
