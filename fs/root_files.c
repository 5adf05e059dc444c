/* The files at the root of the tree and in host/: see root_files.h. */
#include "fs/root_files.h"

#include <errno.h>
#include <string.h>

#include "backends/host/hostcheck.h"
#include "fs/common_files.h"
#include "fs/daemon.h"
#include "fs/handover/upgrade.h"

static const char readme[] =
	"machinefs: virtual machines and containers as files\n"
	"\n"
	"A container, from a directory that has /bin/sh (any root file system):\n"
	"\n"
	"    mkdir container/web                 # made, with working defaults\n"
	"    cd container/web\n"
	"    echo /srv/rootfs > root\n"
	"    echo \"/bin/sh -c 'echo hello; sleep 60'\" > init\n"
	"    echo 64M > memory.size\n"
	"    echo start > ctl                    # returns when it runs\n"
	"    cat state console memory.current\n"
	"    echo stop > ctl; echo stopped > wait; cat exit\n"
	"    cd ../..; rmdir container/web\n"
	"\n"
	"A virtual machine is the same, with other settings:\n"
	"\n"
	"    mkdir vm/db; cd vm/db\n"
	"    echo /boot/vmlinuz > boot.kernel; echo /boot/initrd.img > boot.initrd\n"
	"    echo 2 > cpu.count; echo 1G > memory.size; echo start > ctl\n"
	"    tail -f console                     # or: screen \"$(readlink tty)\"\n"
	"\n"
	"When a write fails, the reason is next to it:  cat error\n"
	"When mkdir or mv fails, it is at the root:     cat error\n"
	"What can be done now:                          cat ctl\n"
	"All settings as one document, to write back:   cat config.yaml\n"
	"Until something has happened:                  echo stopped 60 > wait\n"
	"What has happened:                             tail -f events\n"
	"Who may do what is file modes:                 chown alice vm/db\n"
	"What this host can do:                         cat host/check\n"
	"The end of all machines and of machinefs:      echo shutdown > ctl\n"
	"The end of machinefs; machines go on:          umount /run/machines\n"
	"\n"
	"Every file is described in machinefs(5).\n";

static void show_readme(struct object *o, const struct file *f, struct text *out)
{
	text_add(out, readme);
}

static void show_version(struct object *o, const struct file *f, struct text *out)
{
	text_add(out, MACHINEFS_VERSION "\n");
}

static void show_ctl(struct object *o, const struct file *f, struct text *out)
{
	if (!o->daemon->shutting_down)
		text_add(out, "shutdown\nupgrade\n");
}

static int write_ctl(struct handle *h, struct request *r, const char *data, size_t len,
		     struct err *e)
{
	struct daemon *d = h->object->daemon;

	if (len && data[len - 1] == '\n')
		len--;
	if (len == 7 && !memcmp(data, "upgrade", 7))
		return upgrade_start(d->upgrade, r, e);
	if (len != 8 || memcmp(data, "shutdown", 8))
		return err_set(e, -EINVAL, "ctl: not a verb; `cat ctl` lists them");
	if (d->shutting_down)
		return err_set(e, -EEXIST, "ctl: the daemon is shutting down");
	daemon_shutdown(d);
	return 0;
}

static void show_stat(struct object *o, const struct file *f, struct text *out)
{
	struct daemon *d = o->daemon;

	text_addf(out,
		  "vms %zu\ncontainers %zu\nrunning %u\nrequests %llu\nstarts %llu\n"
		  "waiting %llu\n",
		  d->machines[0]->nchildren, d->machines[1]->nchildren, d->running,
		  (unsigned long long)d->stats.requests, (unsigned long long)d->stats.starts,
		  (unsigned long long)d->stats.parked);
}

static void show_check(struct object *o, const struct file *f, struct text *out)
{
	hostcheck_print(out, NULL);
}

static void show_cpu(struct object *o, const struct file *f, struct text *out)
{
	hostfacts_cpu(out, NULL);
}

static void show_memory(struct object *o, const struct file *f, struct text *out)
{
	hostfacts_memory(out, NULL);
}

static const struct file root_rows[] = {
	{ .name = "README",
	  .mode = 0444,
	  .changes = CHANGE_NEVER,
	  .show = show_readme,
	  .doc = "The quick start." },
	{ .name = "version",
	  .mode = 0444,
	  .changes = CHANGE_NEVER,
	  .show = show_version,
	  .doc = "The daemon's version." },
	{ .name = "ctl",
	  .mode = 0644,
	  .changes = CHANGE_STATE,
	  .parks = true,
	  .show = show_ctl,
	  .write = write_ctl,
	  .doc = "Reading lists the daemon's verbs. shutdown stops all machines, then the "
		 "daemon. upgrade has the program's file, which may be a newer one, take over: "
		 "mount, machines, open files and waiting clients stay." },
	{ COMMON_ERROR, .doc = "The last refusal of an operation on no machine, such as mkdir." },
	{ COMMON_EVENTS,
	  .doc = "What happened, a line each: SEQ TIME OBJECT WHAT [DETAIL]. SEQ counts from 1, "
		 "also through restarts of the daemon, until the host's next boot: a gap shows "
		 "what a reader has missed. When the log has 1 MiB its older half goes, which tail "
		 "-f "
		 "takes for a truncation: it says so, and shows again what is left." },
	{ .name = "stat", .mode = 0444, .show = show_stat, .doc = "The daemon's counters." },
};

static const struct file host_rows[] = {
	{ .name = "check",
	  .mode = 0444,
	  .show = show_check,
	  .doc = "A line for each requirement: PASS, WARN or FAIL, what it means, what to do." },
	{ .name = "cpu", .mode = 0444, .show = show_cpu, .doc = "The host's CPUs, KEY VALUE." },
	{ .name = "memory",
	  .mode = 0444,
	  .show = show_memory,
	  .doc = "The host's memory in bytes, KEY VALUE." },
};

int root_files(struct class *ret, struct err *e)
{
	return files_init(ret, root_rows, sizeof(root_rows) / sizeof(root_rows[0]), 0, e);
}

int host_files(struct class *ret, struct err *e)
{
	return files_init(ret, host_rows, sizeof(host_rows) / sizeof(host_rows[0]), 0, e);
}
