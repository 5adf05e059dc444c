/* What a process of a container may use, beyond its control group: child's side; see child.h. */
#include "backends/container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int oom_score_set(const struct plan *p)
{
	int fd, r = 0;

	if (!p->reset_oom)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, p->oom_score, strlen(p->oom_score)) < 0)
		r = -errno;
	close(fd);
	return r;
}

void child_set_priorities(struct child *c)
{
	static const int policies[] = {
		[SCHEDULER_OTHER] = SCHED_OTHER,
		[SCHEDULER_BATCH] = SCHED_BATCH,
		[SCHEDULER_IDLE] = SCHED_IDLE,
	};
	const struct container_config *config = c->plan->config;
	const struct sched_param none = { 0 };

	if (config->scheduler != SCHEDULER_OTHER &&
	    syscall(SYS_sched_setscheduler, 0, policies[config->scheduler], &none) < 0)
		child_fail(c, errno, "cpu.scheduler", NULL);
	if (config->nice && setpriority(PRIO_PROCESS, 0, (int)config->nice) < 0)
		child_fail(c, errno, "cpu.nice", NULL);
	if (config->io_priority != IOPRIO_BE_NORM &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		    IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, (int)config->io_priority)) < 0)
		child_fail(c, errno, "io.priority", NULL);
}

void child_set_rlimits(struct child *c)
{
	for (int i = 0; i < c->plan->nrlimits; i++)
		if (syscall(SYS_prlimit64, 0, c->plan->rlimits[i].resource,
			    &c->plan->rlimits[i].value, NULL) < 0)
			child_fail(c, errno, "rlimit: more than the daemon may give", NULL);
}
