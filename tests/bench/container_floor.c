/*
 * container_floor RUNS ROOT NAME [CGROUP...]: the least that starting a container can cost, from
 * its control groups' mkdir to their rmdir: clone3 into six new namespaces, pivot_root, /proc, exec
 * of /bin/true. The groups are NAME in each parent CGROUP; a v2 one is entered by clone3 itself.
 * No limits, no seccomp, no console, nothing kept: what an engine adds is beyond the floor.
 */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/sched.h>

#include "bench.h"

#define NAMESPACES \
	(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)
#define CGROUPS_MAX 16

struct floor {
	const char *root;
	int cgroups;
	char group[CGROUPS_MAX][256]; /* PARENT/NAME */
	bool v2;		      /* the only group is a v2 one */
};

__attribute__((noreturn)) static void container_run(const struct floor *f, int gate)
{
	char program[] = "/bin/true", *const argv[] = { program, NULL }, *const env[] = { NULL };
	char go;

	if (read(gate, &go, 1) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(f->root, f->root, NULL, MS_BIND | MS_REC, NULL) || chdir(f->root) ||
	    mount("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		give_up("inside the container");
	execve(argv[0], argv, env);
	give_up(argv[0]);
}

static void group_enter(const struct floor *f, pid_t pid)
{
	char path[300], text[32];

	snprintf(text, sizeof(text), "%d\n", (int)pid);
	for (int i = 0; i < f->cgroups; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", f->group[i]);
		put_file(path, text);
	}
}

static void container_once(const struct floor *f)
{
	struct clone_args args = { .flags = NAMESPACES, .exit_signal = SIGCHLD };
	int gate[2], group = -1, status;
	pid_t pid;

	for (int i = 0; i < f->cgroups; i++)
		if (mkdir(f->group[i], 0755) && errno != EEXIST)
			give_up(f->group[i]);
	if (f->v2) {
		group = open(f->group[0], O_DIRECTORY | O_CLOEXEC);
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	if (pipe2(gate, O_CLOEXEC))
		give_up("pipe");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		give_up("clone3");
	if (pid == 0) {
		close(gate[1]);
		container_run(f, gate[0]);
	}
	if (!f->v2)
		group_enter(f, pid);
	close(gate[0]);
	close(gate[1]);
	if (waitpid(pid, &status, 0) < 0 || status)
		give_up("the container failed");
	if (group >= 0)
		close(group);
	for (int i = 0; i < f->cgroups; i++)
		for (int tries = 0; rmdir(f->group[i]) && tries < 1000; tries++)
			usleep(50);
}

int main(int argc, char **argv)
{
	static struct samples s;
	struct floor f = { 0 };
	char path[300];
	int runs;

	if (argc < 4 || argc - 4 > CGROUPS_MAX)
		return 2;
	runs = runs_arg(argv[1]);
	f.root = argv[2];
	for (int i = 4; i < argc; i++)
		snprintf(f.group[f.cgroups++], sizeof(f.group[0]), "%s/%s", argv[i], argv[3]);
	if (f.cgroups == 1) {
		snprintf(path, sizeof(path), "%s/cgroup.controllers", argv[4]);
		f.v2 = access(path, F_OK) == 0;
	}
	for (int i = -3; i < runs; i++) {
		double start;

		if (getenv("APART"))
			start_pause(i);
		start = now_us();
		container_once(&f);
		if (i >= 0)
			sample_add(&s, now_us() - start);
	}
	sample_print(&s);
	return 0;
}
