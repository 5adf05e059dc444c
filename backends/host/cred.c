/* Acting as somebody: see cred.h; credentials(7), setfsuid(2), user_namespaces(7). */
#include "backends/host/cred.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* getpwuid(3) on which errnos mean that there is no such user. */
static bool means_unknown(int errnum)
{
	return errnum == 0 || errnum == ENOENT || errnum == ESRCH || errnum == EBADF ||
	       errnum == EPERM;
}

int cred_find(uid_t uid, gid_t gid, struct cred *ret, struct err *e)
{
	struct passwd pw, *found = NULL;
	char buffer[16384];
	int rc;

	*ret = (struct cred){ .uid = uid, .gid = gid };
	if (uid == 0)
		return 0;
	rc = getpwuid_r(uid, &pw, buffer, sizeof(buffer), &found);
	if (!found && !means_unknown(rc))
		return err_sys(e, rc, "user %u cannot be looked up", uid);
	if (!found)
		return 0;
	if (strlen(pw.pw_name) < sizeof(ret->name))
		snprintf(ret->name, sizeof(ret->name), "%s", pw.pw_name);
	ret->gid = pw.pw_gid;
	ret->ngroups = CRED_GROUPS_MAX;
	if (getgrouplist(pw.pw_name, pw.pw_gid, ret->groups, &ret->ngroups) < 0)
		return err_set(e, -ENXIO, "user %u is in %d groups; %d are possible", uid,
			       ret->ngroups, CRED_GROUPS_MAX);
	return 0;
}

/* libc's setgroups() would change every thread; the system call changes this one. */
int cred_set_groups(const struct cred *who)
{
	return syscall(SYS_setgroups, who->ngroups, who->groups) < 0 ? -errno : 0;
}

/* Effective capabilities: none, or all that are permitted. */
static int set_effective(bool all)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective = all ? data[i].permitted : 0;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/*
 * Permission checks go by the file-system uid, so that is all that changes: nobody can signal or
 * trace a thread by it. Leaving 0 takes the capabilities over files away; the others go too,
 * since one of them opens what /proc has on other processes.
 */
int cred_enter(const struct cred *who, struct err *e)
{
	int rc;

	if (geteuid() != 0 && who->uid != geteuid())
		return err_set(e, -EPERM, "the daemon is user %u's: it cannot act as user %u",
			       geteuid(), who->uid);
	if (geteuid() != 0 || who->uid == 0)
		return 0;
	rc = cred_set_groups(who);
	if (rc == 0) {
		setfsgid(who->gid);
		setfsuid(who->uid);
		rc = (uid_t)setfsuid((uid_t)-1) == who->uid ? set_effective(false) : -EPERM;
	}
	if (rc == 0)
		return 0;
	cred_leave();
	return err_sys(e, -rc, "cannot act as user %u", who->uid);
}

void cred_leave(void)
{
	static const struct cred nobody;

	if (geteuid() != 0 || (uid_t)setfsuid((uid_t)-1) == geteuid())
		return;
	set_effective(true);
	setfsuid(geteuid());
	setfsgid(getegid());
	cred_set_groups(&nobody);
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

int cred_be_alone(uid_t uid, gid_t gid)
{
	char uids[64], gids[64];

	snprintf(uids, sizeof(uids), "%u %u 1\n", uid, geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1\n", gid, getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	return write_text("/proc/self/setgroups", "deny") &&
			       write_text("/proc/self/uid_map", uids) &&
			       write_text("/proc/self/gid_map", gids)
		       ? 0
		       : -EIO;
}
