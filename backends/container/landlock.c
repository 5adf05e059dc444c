/* What a container's processes may reach: see landlock.h. The rights: linux/landlock.h. */
#include "backends/container/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/child.h"
#include "backends/host/openin.h"

/* Newer than this C library's headers. */
#define RIGHT_TRUNCATE	(UINT64_C(1) << 14) /* version 3 */
#define RIGHT_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */

#define RIGHTS_READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_EXECUTE LANDLOCK_ACCESS_FS_EXECUTE
#define RIGHTS_WRITE                                                        \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEV | \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |   \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |       \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |       \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |     \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
/* The only ones that there are of what is no directory. */
#define RIGHTS_FILE                                                     \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEV)

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

uint64_t landlock_rights(const char *letters)
{
	static const struct {
		char letter;
		uint64_t rights;
	} table[] = { { 'r', RIGHTS_READ }, { 'w', RIGHTS_WRITE }, { 'x', RIGHTS_EXECUTE } };
	uint64_t all = 0;

	for (; *letters; letters++) {
		uint64_t one = 0;

		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			if (table[i].letter == *letters)
				one = table[i].rights;
		if (!one || (all & one))
			return 0;
		all |= one;
	}
	return all;
}

/* What the kernel knows, by its version: it refuses to be told of more. */
static uint64_t known(int abi)
{
	uint64_t all = RIGHTS_READ | RIGHTS_WRITE | RIGHTS_EXECUTE;

	if (abi < 2)
		all &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
	if (abi < 3)
		all &= ~RIGHT_TRUNCATE;
	if (abi < 5)
		all &= ~RIGHT_IOCTL_DEV;
	return all;
}

/* The root is entered already; what /proc has may lead out of it. */
static int open_inside(const char *path)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd, saved;

	if (root < 0)
		return -1;
	fd = open_in(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	saved = errno;
	close(root);
	errno = saved;
	return fd;
}

static void add_rule(struct child *c, const struct keyed_entry *rule, uint64_t handled)
{
	struct landlock_path_beneath_attr beneath = {
		.parent_fd = open_inside(rule->key),
		.allowed_access = landlock_rights(rule->value) & handled,
	};
	struct stat st;

	if (beneath.parent_fd < 0 || fstat(beneath.parent_fd, &st) < 0)
		child_fail(c, errno, "landlock: ", rule->key);
	if (!S_ISDIR(st.st_mode))
		beneath.allowed_access &= RIGHTS_FILE;
	if (syscall(SYS_landlock_add_rule, c->ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		child_fail(c, errno, "landlock: ", rule->key);
	close(beneath.parent_fd);
}

void landlock_make(struct child *c)
{
	const struct keyed *rules = &c->plan->config->landlock;
	struct landlock_ruleset_attr attr = { .handled_access_fs = known(landlock_abi()) };

	if (!rules->n)
		return;
	c->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (c->ruleset < 0)
		child_fail(c, errno, "landlock", NULL);
	for (size_t i = 0; i < rules->n; i++)
		add_rule(c, &rules->entries[i], attr.handled_access_fs);
}

void landlock_restrict(struct child *c)
{
	if (c->ruleset >= 0 && syscall(SYS_landlock_restrict_self, c->ruleset, 0) < 0)
		child_fail(c, errno, "landlock", NULL);
}
