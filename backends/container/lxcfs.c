/* What lxcfs tells, in a container: see lxcfs.h. */
#include "backends/container/lxcfs.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "backends/container/mountfd.h"

/* Below LXCFS_PATH and below / alike; older ones have not all of them. */
static const char *const files[] = {
	"proc/cpuinfo", "proc/diskstats", "proc/loadavg", "proc/meminfo",
	"proc/stat",	"proc/swaps",	  "proc/uptime",  "sys/devices/system/cpu/online",
};

/* A file that cannot be had stays the kernel's: lxcfs may have gone since. */
static void show_file(int lxcfs, const char *path, int place)
{
	int mnt = place < 0 ? -1 : mountfd_copy(lxcfs, path, false);

	if (mnt >= 0) {
		(void)!mountfd_place(mnt, place);
		close(mnt);
	}
	if (place >= 0)
		close(place);
}

void lxcfs_show(const struct child *c, int proc, int sys)
{
	int lxcfs;

	if (!c->plan->config->lxcfs)
		return;
	lxcfs = open(LXCFS_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lxcfs < 0)
		return;
	/* It is installed and does not run. */
	if (faccessat(lxcfs, "proc", F_OK, 0) < 0) {
		close(lxcfs);
		return;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		bool of_proc = files[i][0] == 'p';

		show_file(lxcfs, files[i],
			  mountfd_open(of_proc ? proc : sys, files[i] + (of_proc ? 5 : 4), 0));
	}
	close(lxcfs);
}
