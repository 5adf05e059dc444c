/* From `start` to a monitor: see launch.h. */
#include "fs/machine/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/signame.h"
#include "backends/base/thread.h"
#include "backends/cgroup/cgroup.h"
#include "backends/container/seccomp.h"
#include "backends/host/hostnodes.h"
#include "backends/host/opener.h"
#include "backends/host/spawn.h"
#include "backends/monitor/monitor.h"
#include "backends/monitor/spare.h"
#include "backends/monitor/spare_wait.h"
#include "fs/attr/attr.h"
#include "fs/daemon.h"
#include "fs/image/image.h"
#include "fs/machine/fd_list.h"
#include "fs/machine/link.h"
#include "fs/machine/numa_cpus.h"
#include "fs/machine/vsock_dir.h"
#include "fs/store/config_yaml.h"
#include "fs/store/store.h"

#define MONITOR_LISTENER 3 /* the only descriptor of a monitor's process at its start */

/* What is gathered for START. */
struct launch {
	struct machine *m;
	struct wire_start start;
	struct fd_list fds;
	struct fd_list groups; /* what is told when they are made, of a container's */
	struct text config;
	int listener;
	int birth_group; /* what the monitor's process is cloned into, or -1 */
};

/* ---- descriptors ---- */

static int launch_add_to(struct fd_list *list, unsigned role, int fd, struct err *e)
{
	return fd_list_add(list, (struct wire_fd){ .role = (uint8_t)role }, fd, e);
}

static int launch_add(struct launch *l, unsigned role, int fd, struct err *e)
{
	return launch_add_to(&l->fds, role, fd, e);
}

static int launch_add_engine(struct launch *l, enum engine_fd role, int fd, struct err *e)
{
	return launch_add(l, WIRE_ROLE_ENGINE + role, fd, e);
}

/* Of the machine's control group. */
static int launch_add_group(struct launch *l, enum engine_fd role, int fd, struct err *e)
{
	struct fd_list *list = l->m->kind == KIND_CONTAINER ? &l->groups : &l->fds;

	return launch_add_to(list, WIRE_ROLE_ENGINE + role, fd, e);
}

static int launch_state_file(struct launch *l, const char *name, unsigned role, struct err *e)
{
	int fd = store_open_file(machine_dir(l->m), name, O_RDWR | O_CREAT);

	if (fd < 0)
		return err_sys(e, -fd, "start: %s in the state directory", name);
	return launch_add(l, role, fd, e);
}

/* The page of counters: its size is sealed, so that reading it can never fault. */
static int launch_counters(struct launch *l, struct err *e)
{
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, sizeof(struct engine_page)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err_sys(e, errno, "start: counters");
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	return launch_add(l, WIRE_ROLE_COUNTERS, fd, e);
}

static int launch_host_path(struct launch *l, const char *attr, enum engine_fd role, struct err *e)
{
	struct machine *m = l->m;
	int fd, rc = machine_open_path(m, &m->config, attr_find(m->kind, attr), "", &fd, e);

	return rc < 0 || fd < 0 ? rc : launch_add_engine(l, role, fd, e);
}

/* The directory of its sockets, or what makes it one of the host's own. */
static int launch_vsock(struct launch *l, struct err *e)
{
	int fd, rc = 0;

	if (!l->m->config.vm.vsock_vhost)
		rc = vsock_dir_open(l->m, &fd, e);
	else if ((fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC)) < 0)
		rc = err_set(e, -ENXIO,
			     "vsock.vhost: /dev/vhost-vsock: %s: the kernel's module vhost_vsock",
			     strerror(errno));
	return rc < 0 ? rc : launch_add_engine(l, ENGINE_FD_VSOCK, fd, e);
}

static int launch_open_vm(struct launch *l, struct err *e)
{
	const struct vm_config *c = &l->m->config.vm;
	int fd, rc;

	if (!c->kernel || !*c->kernel)
		return err_set(e, -EINVAL, "boot.kernel: not set; there is nothing to boot");
	rc = launch_host_path(l, "boot.kernel", ENGINE_FD_KERNEL, e);
	if (rc == 0)
		rc = launch_host_path(l, "boot.initrd", ENGINE_FD_INITRD, e);
	if (rc < 0)
		return rc;
	rc = c->vsock_cid ? launch_vsock(l, e) : 0;
	if (rc < 0)
		return rc;
	/* Who may make machines here may use KVM: the daemon opens it for all of them. */
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -ENXIO, "start: /dev/kvm: %s; see host/check", strerror(errno));
	return launch_add_engine(l, ENGINE_FD_KVM, fd, e);
}

/* Compiling a filter takes milliseconds, so the last one is kept. */
static int launch_seccomp(struct launch *l, struct err *e)
{
	struct daemon *d = l->m->object.daemon;
	uint64_t capabilities = l->m->config.container.capabilities;
	bool quotas = l->m->config.container.quota_delegate;
	int rc, fd;

	if (d->seccomp_fd < 0 || d->seccomp_capabilities != capabilities ||
	    d->seccomp_quotas != quotas) {
		rc = seccomp_profile_export(capabilities, quotas, &fd, e);
		if (rc < 0)
			return rc;
		if (d->seccomp_fd >= 0)
			close(d->seccomp_fd);
		d->seccomp_fd = fd;
		d->seccomp_capabilities = capabilities;
		d->seccomp_quotas = quotas;
	}
	fd = fcntl(d->seccomp_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, errno, "start: seccomp");
	return launch_add_engine(l, ENGINE_FD_SECCOMP, fd, e);
}

static int launch_image(struct launch *l, const char *name, struct err *e)
{
	struct image *image;
	int fd = -1, rc = image_find(l->m, name, "root", &image, e);

	if (rc == 0)
		rc = image_open(image, &fd, e);
	return rc < 0 ? rc : launch_add_engine(l, ENGINE_FD_ROOT, fd, e);
}

/* Where what the container writes is kept, see backends/container/root.h. */
static int launch_layer(struct launch *l, struct err *e)
{
	int dir = machine_dir(l->m), fd;

	if (dir < 0 || (mkdirat(dir, "layer", 0755) < 0 && errno != EEXIST))
		return err_sys(e, dir < 0 ? -dir : errno, "start: the container's layer");
	fd = openat(dir, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, errno, "start: the container's layer")
		      : launch_add_engine(l, ENGINE_FD_LAYER, fd, e);
}

/* Whether its init, as its monitor calls it, is in its control group. */
static bool launch_is_of(const struct machine *m)
{
	char path[64], name[64];
	struct text text = TEXT_INIT;
	bool its;
	int fd;

	machine_cgroup_name(m, name);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)link_machine_pid(m->link));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	its = fd >= 0 && text_read_fd(&text, fd) == 0 && strstr(text_str(&text), name);
	if (fd >= 0)
		close(fd);
	text_free(&text);
	return its;
}

/* One that a file leads to, as `ip netns` makes them. Nobody but root has power over these. */
static int launch_join_path(struct launch *l, char *path, enum engine_fd role, struct err *e)
{
	struct machine *m = l->m;
	struct hostpath p = {
		.path = path,
		.kind = HOSTPATH_FILE,
		.what = "namespaces.join",
		.uid = m->object.owner.uid,
		.gid = m->object.owner.gid,
		.avoid = m->object.daemon->own_dev,
	};
	int fd, rc;

	if (p.uid != 0)
		return err_set(e, -EPERM, "namespaces.join: only root's container may name a path");
	rc = opener_open(m->object.daemon->opener, &p, &fd, e);
	return rc < 0 ? rc : launch_add_engine(l, role, fd, e);
}

/* The namespaces of a pod: another container's, of the same owner, that runs. */
static int launch_join(struct launch *l, const char *word, enum engine_fd role, struct err *e)
{
	const struct keyed *join = &l->m->config.container.join;
	struct machine *m = l->m, *other = NULL;
	char *name = NULL;
	char path[64];
	int fd;

	for (size_t i = 0; i < join->n; i++)
		if (!strcmp(join->entries[i].key, word))
			name = join->entries[i].value;
	if (!name)
		return 0;
	if (*name == '/')
		return launch_join_path(l, name, role, e);
	other = object_machine(object_child(m->object.daemon->machines[KIND_CONTAINER], name));
	if (!other)
		return err_set(e, -ENOENT, "namespaces.join: there is no container %s", name);
	if (other->object.owner.uid != m->object.owner.uid)
		return err_set(e, -EPERM, "namespaces.join: %s is user %u's", name,
			       other->object.owner.uid);
	if (other == m || !other->link || link_machine_pid(other->link) <= 0)
		return err_set(e, -EBUSY, "namespaces.join: %s does not run", name);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)link_machine_pid(other->link), word);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "namespaces.join: %s", name);
	/*
	 * The pid is the monitor's word, and what root opens nobody else could. An ordinary user's
	 * daemon opens what is his own; it may be without control groups, by which to tell.
	 */
	if (geteuid() == 0 && !launch_is_of(other)) {
		close(fd);
		return err_set(e, -EIO, "namespaces.join: %s names a process that is not its own",
			       name);
	}
	return launch_add_engine(l, role, fd, e);
}

static int launch_open_container(struct launch *l, struct err *e)
{
	static const struct {
		const char *word;
		enum engine_fd role;
	} paths[] = { { "init.stdin", ENGINE_FD_STDIN },
		      { "init.stdout", ENGINE_FD_STDOUT },
		      { "init.stderr", ENGINE_FD_STDERR } },
	  joins[] = { { "net", ENGINE_FD_NET_NS },   { "ipc", ENGINE_FD_IPC_NS },
		      { "uts", ENGINE_FD_UTS_NS },   { "cgroup", ENGINE_FD_CGROUP_NS },
		      { "time", ENGINE_FD_TIME_NS }, { "pid", ENGINE_FD_PID_NS },
		      { "user", ENGINE_FD_USER_NS } };
	const struct container_config *c = &l->m->config.container;
	int rc;

	if (!c->root || !*c->root)
		return err_set(e, -EINVAL, "root: not set; there is no file system to run in");
	rc = image_named(c->root) ? launch_image(l, image_named(c->root), e)
				  : launch_host_path(l, "root", ENGINE_FD_ROOT, e);
	if (rc == 0 && (image_named(c->root) || c->root_writable == ROOT_OVERLAY))
		rc = launch_layer(l, e);
	/* Whoever is not root has the default beside his own. */
	if (rc == 0 &&
	    (!strcmp(c->seccomp, "default") || (*c->seccomp == '/' && l->m->object.owner.uid != 0)))
		rc = launch_seccomp(l, e);
	if (rc == 0 && *c->seccomp == '/')
		rc = launch_host_path(l, "seccomp", ENGINE_FD_SECCOMP_FILE, e);
	for (size_t i = 0; rc == 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		rc = launch_host_path(l, paths[i].word, paths[i].role, e);
	for (size_t i = 0; rc == 0 && i < sizeof(joins) / sizeof(joins[0]); i++)
		rc = launch_join(l, joins[i].word, joins[i].role, e);
	return rc;
}

/* ---- control group ---- */

static int launch_devices(struct launch *l, struct err *e)
{
	int devices = cgroup_open_devices(l->m->cgroup);

	return devices < 0 ? 0 : launch_add_group(l, ENGINE_FD_DEVICES, devices, e);
}

static int launch_cgroup_fds(struct launch *l, struct err *e)
{
	int procs[ENGINE_CGROUP_MAX], freezer = -1, frozen = -1, n, rc = 0;

	n = cgroup_open_procs(l->m->cgroup, procs, ENGINE_CGROUP_MAX, e);
	if (n < 0)
		return n;
	l->birth_group = cgroup_open_v2(l->m->cgroup);
	for (int i = 0; i < n; i++) {
		enum engine_fd role = (enum engine_fd)(ENGINE_FD_CGROUP + i);
		int added = 0;

		/* A VM's monitor is born there. */
		if (l->m->kind == KIND_VM && l->birth_group >= 0 && cgroup_fd_is_v2(procs[i]))
			close(procs[i]);
		else
			added = launch_add_group(l, role, procs[i], e);
		rc = rc ? rc : added;
	}
	if (rc == 0 && l->m->kind == KIND_CONTAINER && l->birth_group >= 0) {
		rc = launch_add_group(l, ENGINE_FD_CGROUP_V2, l->birth_group, e);
		l->birth_group = -1;
	}
	if (rc == 0 && l->m->kind == KIND_CONTAINER)
		rc = cgroup_open_freezer(l->m->cgroup, &freezer, &frozen, e);
	if (rc == 0 && freezer >= 0)
		rc = launch_add_group(l, ENGINE_FD_FREEZER, freezer, e);
	if (rc == 0 && frozen >= 0)
		rc = launch_add_group(l, ENGINE_FD_FROZEN, frozen, e);
	if (rc == 0 && l->m->kind == KIND_CONTAINER)
		rc = launch_devices(l, e);
	return rc;
}

static int launch_cgroup(struct launch *l, struct err *e)
{
	struct machine *m = l->m;
	struct daemon *d = m->object.daemon;
	bool on_thread = m->config.isolation == ISOLATION_THREAD && m->kind == KIND_VM;
	char name[64];
	int rc;

	if (on_thread && cgroup_limits_asked(&m->config))
		return err_set(e, -ENXIO,
			       "start: a VM with isolation thread has no limits of its own; set "
			       "cpu.max, cpu.weight and pids.max to their defaults");
	if (!d->cgroups && cgroup_limits_asked(&m->config))
		return err_set(e, -ENXIO, "start: no limits are possible: %s", d->cgroups_why.text);
	if (on_thread || !d->cgroups)
		return 0;
	machine_sweep_end(m);
	machine_cgroup_name(m, name);
	rc = cgroup_new(d->cgroups, name, &m->cgroup, e);
	if (rc < 0)
		return rc;
	rc = machine_limit(m, &m->config, NULL, e);
	if (rc == 0 && m->kind == KIND_CONTAINER)
		rc = cgroup_restrict_devices(m->cgroup, e);
	return rc < 0 ? rc : launch_cgroup_fds(l, e);
}

static void launch_drop_cgroup(struct machine *m)
{
	char name[64];

	if (!m->cgroup)
		return;
	machine_cgroup_name(m, name);
	cgroup_free(m->cgroup);
	m->cgroup = NULL;
	cgroup_remove(m->object.daemon->cgroups, name, NULL);
}

/* ---- the monitor ---- */

static const struct engine *engine_of(enum machine_kind kind)
{
	return kind == KIND_VM ? &vm_engine : &container_engine;
}

static int config_decode(enum machine_kind kind, const char *text, size_t len,
			 struct machine_config *ret, struct err *e)
{
	return config_parse(kind, text, len, ret, NULL, e);
}

static const struct monitor_hooks process_hooks = { engine_of, config_decode, config_free, true };
static const struct monitor_hooks thread_hooks = { engine_of, config_decode, config_free, false };

/* As a process that the daemon has spawned. */
static void signals_begin(void)
{
	sigset_t none;

	signals_unignore(); /* the daemon's starter may have had some ignored */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL); /* spawn_process() leaves all blocked */
}

int launch_monitor(void)
{
	signals_begin();
	if (fcntl(MONITOR_LISTENER, F_SETFD, FD_CLOEXEC) < 0)
		return 2;
	return monitor_main(MONITOR_LISTENER, &process_hooks, NULL) < 0 ? 1 : 0;
}

static bool launch_walled(enum machine_kind kind)
{
	return !engine_of(kind)->keeps_root;
}

int launch_spare_new(struct event_base *loop, enum machine_kind kind, int program,
		     struct spare **ret, struct err *e)
{
	return spare_new(loop, engine_of(kind)->name, launch_walled(kind), program, ret, e);
}

int launch_spare(char **argv)
{
	bool vm = argv[2] && !strcmp(argv[2], vm_engine.name);
	struct spare_self self = { argv, &process_hooks, vm ? KIND_VM : KIND_CONTAINER };
	struct monitor_place place;
	struct err e = { 0 };
	int listener, rc;

	signals_begin();
	do {
		listener = spare_wait(&self, &place, &e);
		rc = listener < 0 ? listener : monitor_main(listener, &process_hooks, &place);
	} while (rc > 0);
	return rc < 0 ? 1 : 0;
}

/* By which ps and pgrep know it. */
static void launch_title(const struct machine *m, char ret[96])
{
	snprintf(ret, 96, "%s/%s", engine_of(m->kind)->name, m->object.name);
}

/* Makes one that has not waited. */
static int launch_execute(const struct machine *m, int listener, int group, pid_t *ret_pid,
			  struct err *e)
{
	char title[96];
	char name[] = "machinefs-monitor", option[] = "--monitor";
	char *argv[] = { name, option, title, NULL };
	char *env[] = { NULL };
	struct spawn spawn = {
		.exe = "/proc/self/exe",
		.program = m->object.daemon->program,
		.argv = argv,
		.env = env,
		.fd = listener,
		.fd_as = MONITOR_LISTENER,
		.cgroup = group,
		.own_pids = launch_walled(m->kind) && geteuid() == 0,
	};

	launch_title(m, title);
	return spawn_process(&spawn, ret_pid, e);
}

int launch_anew(const struct machine *m, int listener, pid_t *ret_pid, struct err *e)
{
	return launch_execute(m, listener, -1, ret_pid, e);
}

static int launch_process(struct launch *l, struct spare_taken *ret, struct err *e)
{
	const struct machine *m = l->m;
	char title[96];
	struct spare_machine w = { title, m->object.owner.uid, l->listener, l->birth_group };

	launch_title(m, title);
	if (spare_take(m->object.daemon->spares[m->kind], &w, ret) == 0)
		return 0;
	return launch_execute(m, l->listener, l->birth_group, &ret->pid, e);
}

static void *monitor_thread(void *arg)
{
	monitor_main((int)(intptr_t)arg, &thread_hooks, NULL);
	return NULL;
}

/* The listener is the thread's from here on. */
static int launch_thread(struct launch *l, struct err *e)
{
	pthread_t thread;
	int rc = thread_start(&thread, THREAD_STACK_USUAL, 0, monitor_thread,
			      (void *)(intptr_t)l->listener);

	if (rc < 0)
		return err_sys(e, -rc, "start: monitor");
	pthread_detach(thread);
	l->listener = -1;
	return 0;
}

static int launch_spawn(struct launch *l, struct err *e)
{
	struct spare_taken monitor = SPARE_UNKNOWN;
	int rc;

	rc = l->m->config.isolation == ISOLATION_THREAD ? launch_thread(l, e)
							: launch_process(l, &monitor, e);
	if (rc == 0 && monitor.pid > 0)
		link_own(l->m->link, monitor.pid);
	if (rc == 0 && monitor.fd >= 0) {
		link_take_spare(l->m->link, monitor.fd, l->listener);
		l->listener = -1;
	}
	return rc;
}

/* ---- all of it ---- */

/* With what a container's image, or a VM's nodes, say where its settings say nothing. */
static int launch_config(struct launch *l, struct err *e)
{
	struct machine_config c;
	int rc = config_copy(&l->m->config, &c, e);

	if (rc < 0)
		return rc;
	if (l->m->kind == KIND_CONTAINER)
		rc = image_defaults(l->m, &c, e);
	else
		rc = numa_cpus_complete(&c, HOST_NODES, e);
	if (rc == 0)
		rc = config_print_changed(&c, &l->m->object.daemon->defaults[c.kind], &l->config,
					  e);
	config_free(&c);
	return rc;
}

/* A VM's monitor becomes another user where there is no user database to ask any more. */
static int launch_owner(struct launch *l, struct err *e)
{
	struct machine *m = l->m;
	gid_t gid = m->object.owner.gid;
	int rc = 0;

	if (m->kind == KIND_VM && machine_foreign(m))
		rc = opener_find_group(m->object.daemon->opener, m->object.owner.uid, gid, &gid, e);
	l->start.uid = m->object.owner.uid;
	l->start.gid = gid;
	return rc;
}

static int launch_gather(struct launch *l, struct err *e)
{
	struct machine *m = l->m;
	int rc;

	snprintf(l->start.name, sizeof(l->start.name), "%s", m->object.name);
	snprintf(l->start.uuid, sizeof(l->start.uuid), "%s", m->identity.uuid);
	l->start.kind = m->kind;
	if (m->config.isolation == ISOLATION_THREAD && machine_foreign(m))
		return err_set(e, -EPERM,
			       "isolation: thread: user %u's machine cannot run inside the daemon",
			       m->object.owner.uid);
	l->start.tag = config_tag(&m->config);
	rc = launch_owner(l, e);
	if (rc == 0)
		rc = launch_config(l, e);
	if (rc == 0 && l->config.len > WIRE_CONFIG_MAX)
		rc = err_set(e, -EINVAL, "start: the configuration is larger than %u bytes",
			     WIRE_CONFIG_MAX);
	if (rc == 0)
		rc = m->kind == KIND_VM ? launch_open_vm(l, e) : launch_open_container(l, e);
	if (rc == 0)
		rc = launch_state_file(l, "console", WIRE_ROLE_LOG, e);
	if (rc == 0)
		rc = launch_state_file(l, "console.old", WIRE_ROLE_OLD, e);
	if (rc == 0)
		rc = launch_state_file(l, "exit", WIRE_ROLE_EXIT, e);
	if (rc == 0)
		rc = launch_counters(l, e);
	return rc;
}

static int launch_find(const struct launch *l, unsigned role)
{
	for (unsigned i = 0; i < l->fds.n; i++)
		if (l->fds.role[i].role == role)
			return l->fds.fd[i];
	return -1;
}

/*
 * Until the monitor says better: this is what a daemon finds that comes after a crash. Before
 * there is a socket, so that where there is one `exit` tells of this run.
 */
static void launch_mark_running(struct launch *l)
{
	int fd = launch_find(l, WIRE_ROLE_EXIT);

	if (ftruncate(fd, 0) < 0 || pwrite(fd, "running\n", 8, 0) < 0)
		return; /* full disk: the ending is then told, or not, as it is */
}

/* A monitor that listens, or soon will: what is sent meanwhile waits in its socket. */
static int launch_connect(struct launch *l, struct err *e)
{
	int rc = link_listen(l->m, &l->listener, e);

	if (rc == 0 && link_connect(l->m, &l->m->link) < 0)
		rc = err_set(e, -EIO, "start: cannot connect to the monitor");
	if (rc < 0)
		return rc;
	link_take_page(l->m->link, launch_find(l, WIRE_ROLE_COUNTERS));
	return launch_spawn(l, e);
}

/*
 * A VM's monitor is born into the machine's control group, as are its shares' servers, so that
 * comes first. A container's is not, and reads what it is to start while we make the group.
 */
static int launch_build(struct launch *l, struct request *r, struct err *e)
{
	bool meanwhile = l->m->kind == KIND_CONTAINER && l->m->object.daemon->cgroups;
	int rc = launch_gather(l, e);

	if (rc == 0 && !meanwhile)
		rc = launch_cgroup(l, e);
	if (rc == 0)
		rc = fd_list_add_parts(&l->fds, l->m, &l->m->config, NULL, e);
	if (rc < 0)
		return rc;
	launch_mark_running(l);
	rc = launch_connect(l, e);
	if (rc == 0 && !meanwhile)
		return link_start(l->m->link, r, &l->start, &l->config, &l->fds, e);
	if (rc == 0)
		rc = link_announce(l->m->link, &l->start, &l->config, &l->fds, e);
	if (rc == 0)
		rc = launch_cgroup(l, e);
	return rc < 0 ? rc : link_start_groups(l->m->link, r, &l->groups, e);
}

static void launch_free(struct launch *l)
{
	fd_list_close(&l->fds);
	fd_list_close(&l->groups);
	if (l->listener >= 0)
		close(l->listener);
	if (l->birth_group >= 0)
		close(l->birth_group);
	text_free(&l->config);
}

int launch_machine(struct machine *m, enum engine_hold hold, struct request *r, struct err *e)
{
	struct launch l = { .m = m, .listener = -1, .birth_group = -1, .start.hold = hold };
	int rc;

	if (m->broken.code)
		return err_set(e, -EIO, "%s", m->broken.text);
	if (m->object.daemon->shutting_down)
		return err_set(e, -EBUSY, "start: the daemon is shutting down");
	if (ephemeral_goes(m))
		return err_set(e, -EBUSY,
			       "start: the machine was ephemeral, has ended and is being removed");
	rc = launch_build(&l, r, e);
	if (rc == NODE_PARKED) {
		text_clear(&m->object.refusal);
		object_changed_by(&m->object, CHANGE_REFUSAL);
		m->before_start = m->state;
		m->runs_as = m->object.owner.uid;
		m->object.daemon->running++;
		m->object.daemon->stats.starts++;
		restart_began(m, r != NULL);
		if (hold) // nobody has told it to run
			restart_told(m, true);
		machine_set_state(m, STATE_STARTING, "");
		spare_want(m->object.daemon->spares[m->kind]);
	} else {
		link_abandon(m->link);
		m->link = NULL;
		machine_record_ending(m);
		launch_drop_cgroup(m);
	}
	launch_free(&l);
	return rc;
}
