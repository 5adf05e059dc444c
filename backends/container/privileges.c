/*
 * Who a process of a container is to be: user, capabilities, no_new_privs, the filter. Child's
 * side; see child.h.
 */
#include "backends/container/child.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/landlock.h"
#include "backends/container/quotacall.h"

/* Another's user namespace may be one whose owner has no groups but his own: struct usermap. */
static bool may_not_drop(const struct child *c, const struct init_user *user)
{
	return errno == EPERM && c->plan->join_user >= 0 && !user->ngroups;
}

/* Not the C library's set*id(): those would signal threads that this process does not have. */
void child_become(struct child *c, const struct init_user *user)
{
	uid_t uid = user->uid;
	gid_t gid = user->gid;

	if ((!c->plan->map.deny_setgroups || user->ngroups) &&
	    syscall(SYS_setgroups, user->ngroups, user->groups) < 0 && !may_not_drop(c, user))
		child_fail(c, errno, c->plan->names->user,
			   user->ngroups ? ": its groups" : ": dropping groups");
	if (syscall(SYS_setresgid, gid, gid, gid) < 0)
		child_fail(c, errno, c->plan->names->user, ": the gid");
	if (syscall(SYS_setresuid, uid, uid, uid) < 0)
		child_fail(c, errno, c->plan->names->user, ": the uid");
}

static void set_capabilities(struct child *c, uint64_t mask, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted = (uint32_t)(mask >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	if (syscall(SYS_capset, &header, data) < 0)
		child_fail(c, errno, "capabilities: not all of them are the monitor's to give",
			   NULL);
}

/* What stays with who is not root when he executes a program: capabilities(7). */
static void set_ambient(struct child *c, uint64_t mask)
{
	for (unsigned long n = 0; n < 64; n++)
		if (mask >> n & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
			child_fail(c, errno, "capabilities.ambient", NULL);
}

static void drop_bounding(struct child *c)
{
	for (unsigned long n = 0; n < 64; n++) {
		if (c->plan->config->capabilities >> n & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0) {
			if (errno == EINVAL) // behind the last one of this kernel
				break;
			child_fail(c, errno, "capabilities: bounding set", NULL);
		}
	}
}

void child_install_filter(struct child *c)
{
	for (int i = 0; i < c->plan->nfilters; i++) {
		const struct plan_filter *f = &c->plan->filters[i];
		struct sock_fprog program = { .len = f->count, .filter = f->program };

		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			child_fail(c, errno, "seccomp", NULL);
	}
}

void child_install_listener(struct child *c)
{
	if (!c->plan->config->quota_delegate)
		return;
	c->listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				   SECCOMP_FILTER_FLAG_NEW_LISTENER, quotacall_filter());
	if (c->listener < 0 && errno == EBUSY)
		child_refuse(
			c, ENXIO,
			"quota.delegate: the daemon's own system calls have a listener already",
			NULL);
	if (c->listener < 0)
		child_fail(c, errno, "quota.delegate", NULL);
}

void child_drop_privileges(struct child *c)
{
	const struct container_config *config = c->plan->config;
	uint64_t admin = UINT64_C(1) << CAP_SYS_ADMIN;

	drop_bounding(c);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		child_fail(c, errno, "capabilities", NULL);
	child_become(c, &c->plan->user);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		child_fail(c, errno, "capabilities: ambient set", NULL);
	if (config->no_new_privs) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			child_fail(c, errno, "no_new_privs", NULL);
	} else if (c->plan->nfilters || c->ruleset >= 0 || config->quota_delegate) {
		set_capabilities(c, config->capabilities | admin, 0);
	}
	landlock_restrict(c);
	child_install_listener(c);
	if (!config->no_new_privs)
		child_install_filter(c);
	set_capabilities(c, config->capabilities, config->ambient);
	set_ambient(c, config->ambient);
}
