/* Labels of AppArmor and SELinux: see label.h. Between clone and execve. */
#include "backends/container/label.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/container/child.h"

static int label_write(const char *prefix, const char *label)
{
	char text[300] = "";
	int fd, r;

	if (!label || !*label)
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
