/* Servers for shares: see share.h. */
#include "fs/machine/share.h"

#include <stdio.h>
#include <unistd.h>

#include "backends/cgroup/cgroup.h"
#include "backends/vhost/virtiofsd.h"
#include "fs/daemon.h"

int share_open(struct fd_list *l, const struct machine *m, struct wire_fd role,
	       const struct part *part, struct err *e)
{
	char name[64];
	struct virtiofsd v = {
		.directory = l->fd[l->n - 1],
		.readonly = part->share.readonly,
		.uid = m->object.owner.uid,
		.gid = m->object.owner.gid,
		.cgroup = m->cgroup ? cgroup_open_v2(m->cgroup) : -1,
		.run = m->object.daemon->run_fd,
		.name = name,
	};
	int fd, rc;

	snprintf(name, sizeof(name), "%s.share", m->identity.uuid);
	rc = virtiofsd_start(&v, &fd, e);
	if (v.cgroup >= 0)
		close(v.cgroup);
	if (rc < 0)
		return err_prefix(e, "share/%s/", part->name);
	close(v.directory);
	l->fd[l->n - 1] = fd;
	l->role[l->n - 1] = role;
	return 0;
}
