/* Labels of AppArmor and SELinux: see label.h. Between clone and execve. */
#include "backends/container/label.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/container/child.h"

#define APPARMOR "/sys/kernel/security/apparmor"
#define SELINUX	 "/sys/fs/selinux/enforce"
#define CONTEXTS "/sys/fs/selinux/context" // fails for what is none

static bool is_set(const char *label)
{
	return label && *label;
}

bool label_of_files(const struct container_config *c)
{
	return is_set(c->selinux_files);
}

const char *label_of_programs(const struct container_config *c)
{
	return is_set(c->selinux) ? "selinux" : is_set(c->apparmor) ? "apparmor" : NULL;
}

/* Who may not ask for one is told by what it is wanted for. */
static int context_check(const char *name, const char *context, struct err *e)
{
	int fd, r = 0;

	if (!is_set(context))
		return 0;
	if (access(SELINUX, F_OK) < 0)
		return err_set(e, -ENXIO, "%s: this kernel has no SELinux, or not enabled", name);
	fd = open(CONTEXTS, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (write(fd, context, strlen(context) + 1) < 0 && errno == EINVAL)
		r = err_set(e, -EINVAL, "%s: the host's policy knows no such context", name);
	close(fd);
	return r;
}

int label_check(const struct container_config *c, struct err *e)
{
	int r;

	if (is_set(c->apparmor) && access(APPARMOR, F_OK) < 0)
		return err_set(e, -ENXIO, "apparmor: this kernel has no AppArmor, or not enabled");
	r = context_check("selinux", c->selinux, e);
	return r < 0 ? r : context_check("selinux.files", c->selinux_files, e);
}

static int label_write(const char *prefix, const char *label)
{
	char text[300] = "";
	int fd, r;

	if (!is_set(label))
		return 0;
	child_append(text, sizeof(text), prefix);
	child_append(text, sizeof(text), label);
	fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int label_set(const struct container_config *c, const char **ret_what)
{
	int r = label_write("exec ", c->apparmor);

	*ret_what = "apparmor";
	if (r == 0) {
		r = label_write("", c->selinux);
		*ret_what = "selinux";
	}
	return r;
}
