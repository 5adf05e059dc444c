/* struct daemon: making, finding machines again, shutting down; see daemon.h. */
#include "fs/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/opener.h"
#include "backends/host/program.h"
#include "backends/monitor/spare.h"
#include "backends/monitor/wire.h"
#include "fs/exec/exec.h"
#include "fs/image/image.h"
#include "fs/image/importer.h"
#include "fs/log.h"
#include "fs/machine/autostart.h"
#include "fs/machine/launch.h"
#include "fs/machine/link.h"
#include "fs/machine/machine.h"
#include "fs/machine/machine_files.h"
#include "fs/machine/part.h"
#include "fs/machine/vcpu.h"
#include "fs/machine/waiter.h"
#include "fs/net/net.h"
#include "fs/poker.h"
#include "fs/root_files.h"
#include "fs/store/event_log.h"
#include "fs/store/store.h"

#define EVENTS_MAX	 (1u << 20)  /* bytes */
#define EVENTS_OWN_MAX	 (64u << 10) /* bytes of a machine's */
#define IDS_STEP	 1024	     /* ids set aside by one write */
#define CGROUP_PARENT	 "machinefs"
#define SHUTDOWN_SECONDS 10

/* Ids of what is always there; machines come after them. */
enum { ID_ROOT = 1, ID_HOST, ID_VMS, ID_CONTAINERS, ID_IMAGES, ID_NETS, ID_FIRST = 16 };

struct timespec daemon_now(struct daemon *d)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec < d->clock.tv_sec ||
	    (now.tv_sec == d->clock.tv_sec && now.tv_nsec <= d->clock.tv_nsec)) {
		now = d->clock;
		if (++now.tv_nsec == 1000000000) {
			now.tv_nsec = 0;
			now.tv_sec++;
		}
	}
	return d->clock = now;
}

/* ---- ids ---- */

static int ids_reserve(struct daemon *d, uint64_t limit, struct err *e)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)limit);
	int rc = store_write(d->state_fd, "ids", text, (size_t)n, e);

	if (rc == 0)
		d->id_limit = limit;
	return rc;
}

uint64_t daemon_new_id(struct daemon *d, struct err *e)
{
	if (d->next_id == d->id_limit && ids_reserve(d, d->id_limit + IDS_STEP, e) < 0)
		return 0;
	return d->next_id++;
}

/* The file may be lost or behind: no id of a machine that is there may come again. */
static void ids_read(struct daemon *d)
{
	struct text text = TEXT_INIT;
	unsigned long long limit;

	d->next_id = ID_FIRST;
	if (store_read(d->state_fd, "ids", &text) == 0 &&
	    sscanf(text_str(&text), "%llu", &limit) == 1 && limit > d->next_id &&
	    limit < 1ULL << 39)
		d->next_id = limit;
	d->id_limit = d->next_id;
	text_free(&text);
}

/* ---- owners of what is always there ---- */

static int fixed_chown(struct object *o, struct err *e)
{
	struct daemon *d = o->daemon;
	struct object *fixed[] = { d->root,	   d->host,   d->machines[0],
				   d->machines[1], d->images, d->nets };
	struct text text = TEXT_INIT;
	int rc;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const struct object *x = fixed[i];

		text_addf(&text, "%llu . %u %u %o\n", (unsigned long long)x->id, x->owner.uid,
			  x->owner.gid, x->owner.mode);
		for (size_t j = 0; j < x->noverrides; j++)
			text_addf(&text, "%llu %s %u %u %o\n", (unsigned long long)x->id,
				  x->overrides[j].file->name, x->overrides[j].owner.uid,
				  x->overrides[j].owner.gid, x->overrides[j].owner.mode);
	}
	rc = text_failed(&text) ? err_sys(e, ENOMEM, "owners")
				: store_write(d->state_fd, "owners", text.data, text.len, e);
	text_free(&text);
	return rc;
}

static void fixed_read(struct daemon *d)
{
	struct text text = TEXT_INIT;
	const char *p = store_read(d->state_fd, "owners", &text) == 0 ? text_str(&text) : "";
	unsigned long long id;
	struct owner own;
	char name[64];
	unsigned mode;

	for (; sscanf(p, "%llu %63s %u %u %o", &id, name, &own.uid, &own.gid, &mode) == 5;
	     p += strcspn(p, "\n"), p += *p == '\n') {
		struct node n = { .object = object_find(d, id) };

		if (n.object && strcmp(name, "."))
			n.file = class_file(n.object->class, name);
		own.mode = mode & (n.file ? 0666 : 01777);
		if (n.object && (n.file || !strcmp(name, ".")))
			node_set_owner(n, &own);
	}
	if (*p)
		log_line(LOG_LEVEL_ERROR,
			 "state directory: owners cannot be read from \"%.40s\" on: "
			 "what it says of the tree's own files is lost",
			 p);
	text_free(&text);
}

/* ---- the tree ---- */

static void fixed_free(struct object *o)
{
	free(o);
}

static int classes_init(struct daemon *d, struct err *e)
{
	struct class *c = d->classes;
	int rc;

	for (int i = 0; i < CLASS_COUNT; i++) {
		c[i].mode = 0755;
		c[i].chown = fixed_chown;
		c[i].free = fixed_free;
	}
	c[CLASS_ROOT].name = "root";
	c[CLASS_HOST].name = "host";
	c[CLASS_VMS].name = "vms";
	c[CLASS_CONTAINERS].name = "containers";
	c[CLASS_VMS].mkdir = c[CLASS_CONTAINERS].mkdir = machine_mkdir;
	c[CLASS_IMAGES].name = "images";
	c[CLASS_IMAGES].mkdir = image_mkdir;
	c[CLASS_IMAGE].name = "image";
	c[CLASS_IMAGE].rmdir = image_rmdir;
	c[CLASS_IMAGE].rename = image_rename;
	c[CLASS_IMAGE].chown = image_chown;
	c[CLASS_IMAGE].free = image_free;
	c[CLASS_IMAGE].states = &image_states;
	c[CLASS_NETS].name = "nets";
	c[CLASS_NETS].mkdir = net_mkdir;
	c[CLASS_NET].name = "net";
	c[CLASS_NET].rmdir = net_rmdir;
	c[CLASS_NET].rename = net_rename;
	c[CLASS_NET].chown = net_chown;
	c[CLASS_NET].free = net_free;
	c[CLASS_VM].name = "vm";
	c[CLASS_CONTAINER].name = "container";
	for (int i = CLASS_VM; i <= CLASS_CONTAINER; i++) {
		c[i].rmdir = machine_rmdir;
		c[i].rename = machine_rename;
		c[i].chown = machine_chown;
		c[i].free = machine_free;
		c[i].states = &machine_states;
	}
	rc = root_files(&c[CLASS_ROOT], e);
	if (rc == 0)
		rc = host_files(&c[CLASS_HOST], e);
	if (rc == 0)
		rc = machine_files(KIND_VM, &c[CLASS_VM], e);
	if (rc == 0)
		rc = machine_files(KIND_CONTAINER, &c[CLASS_CONTAINER], e);
	if (rc == 0)
		rc = image_files(&c[CLASS_IMAGE], e);
	if (rc == 0)
		rc = net_files(&c[CLASS_NET], e);
	if (rc == 0)
		rc = execs_class(&c[CLASS_EXECS], e);
	if (rc == 0)
		rc = exec_class(&c[CLASS_EXEC], e);
	if (rc == 0)
		rc = vcpu_class(&c[CLASS_VCPU], e);
	for (int k = 0; rc == 0 && k < PART_KINDS; k++) {
		rc = part_class((enum part_kind)k, &d->part_classes[k], e);
		if (rc == 0 && class_finish(&d->part_classes[k]) < 0)
			rc = err_set(e, -EINVAL, "two files of a part have one inode number");
	}
	for (int i = 0; rc == 0 && i < CLASS_COUNT; i++)
		if (class_finish(&c[i]) < 0)
			rc = err_set(e, -EINVAL, "two files of class %s have one inode number",
				     c[i].name);
	return rc;
}

static int fixed_new(struct daemon *d, enum daemon_class c, struct object *parent, uint64_t id,
		     const char *name, struct object **ret, struct err *e)
{
	struct object *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return err_sys(e, ENOMEM, "%s", name);
	rc = object_init(o, d, &d->classes[c], parent, id, name, e);
	if (rc < 0) {
		free(o);
		return rc;
	}
	o->owner.uid = geteuid();
	o->owner.gid = getegid();
	*ret = o;
	return 0;
}

static int tree_init(struct daemon *d, struct err *e)
{
	int rc = fixed_new(d, CLASS_ROOT, NULL, ID_ROOT, "", &d->root, e);

	if (rc == 0)
		rc = fixed_new(d, CLASS_HOST, d->root, ID_HOST, "host", &d->host, e);
	if (rc == 0)
		rc = fixed_new(d, CLASS_VMS, d->root, ID_VMS, "vm", &d->machines[KIND_VM], e);
	if (rc == 0)
		rc = fixed_new(d, CLASS_CONTAINERS, d->root, ID_CONTAINERS, "container",
			       &d->machines[KIND_CONTAINER], e);
	if (rc == 0)
		rc = fixed_new(d, CLASS_IMAGES, d->root, ID_IMAGES, "image", &d->images, e);
	if (rc == 0)
		rc = fixed_new(d, CLASS_NETS, d->root, ID_NETS, "net", &d->nets, e);
	if (rc < 0)
		return rc;
	d->root->events = d->events;
	fixed_read(d);
	return 0;
}

/* ---- finding machines ---- */

static int load_one(struct daemon *d, struct object *parent, const char *name, bool anew,
		    struct err *e)
{
	if (parent == d->images)
		return image_load(d, name, anew, e);
	if (parent == d->nets)
		return net_load(d, name, anew, e);
	return machine_load(d, parent == d->machines[KIND_VM] ? KIND_VM : KIND_CONTAINER, name,
			    anew, e);
}

/* Those that need new ids come in a second round, when all ids in use are known. */
static int load_kind(struct daemon *d, struct object *parent, int dirfd, bool anew, struct err *e)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return err_sys(e, errno, "state directory: %s", parent->name);
	}
	while (rc >= 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || object_child(parent, entry->d_name))
			continue;
		if (object_name_valid(entry->d_name))
			rc = load_one(d, parent, entry->d_name, anew, e);
		else if (anew)
			log_line(LOG_LEVEL_ERROR, "state directory: %s/%s has no valid name",
				 parent->name, entry->d_name);
	}
	closedir(dir);
	return rc < 0 ? rc : 0;
}

static bool recovering(const struct daemon *d)
{
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(d->machines[kind]->children[i]);

			if (m->link && !link_pid(m->link))
				return true;
		}
	return false;
}

static void on_time_over(int fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* The first reader shall see what is so: running monitors answer within milliseconds. */
static void recover_all(struct daemon *d)
{
	const struct timeval limit = { .tv_sec = 2 };
	bool over = false;
	struct event *timer = evtimer_new(d->loop, on_time_over, &over);

	for (size_t i = 0; i < d->nets->nchildren; i++)
		net_recover(object_net(d->nets->children[i]));
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++)
			machine_recover(object_machine(d->machines[kind]->children[i]));
	for (size_t i = 0; i < d->images->nchildren; i++)
		image_recover(object_image(d->images->children[i]));
	if (!timer)
		return;
	evtimer_add(timer, &limit);
	while (!over && recovering(d))
		event_base_loop(d->loop, EVLOOP_ONCE);
	event_free(timer);
}

/* No id of what is there may come again. */
static void ids_pass(struct daemon *d, const struct object *parent)
{
	for (size_t i = 0; i < parent->nchildren; i++) {
		uint64_t id = parent->children[i]->id;

		if (id >= d->next_id && !(id & OBJECT_ID_DERIVED))
			d->next_id = d->id_limit = id + 1;
		ids_pass(d, parent->children[i]);
	}
}

static void remove_by_and_by(void *arg, int dirfd, const char *name)
{
	importer_remove(arg, dirfd, name);
}

static int load_all(struct daemon *d, struct err *e)
{
	struct object *const parents[] = { d->machines[0], d->machines[1], d->images, d->nets };
	int *const fds[] = { &d->kind_fd[0], &d->kind_fd[1], &d->image_fd, &d->net_fd };
	int rc = 0;

	for (int i = 0; rc == 0 && i < 4; i++) {
		rc = store_open_kind(d->state_fd, parents[i]->name, remove_by_and_by, d, fds[i], e);
		if (rc == 0)
			rc = load_kind(d, parents[i], *fds[i], false, e);
		ids_pass(d, parents[i]);
	}
	if (rc == 0)
		rc = ids_reserve(d, d->next_id + IDS_STEP, e);
	for (int i = 0; rc == 0 && i < 4; i++)
		rc = load_kind(d, parents[i], *fds[i], true, e);
	event_log_settle(d->events);
	if (rc == 0)
		recover_all(d);
	return rc;
}

/* ---- life ---- */

static int open_run_dir(const char *path, int *ret_fd, struct err *e)
{
	int rc;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", path);
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_sys(e, errno, "%s", path);
	/*
	 * Others may pass to what is theirs (vsock_dir.h). Who may write a monitor's socket
	 * commands its machine: that is its directory's owner alone.
	 */
	if (fchmod(*ret_fd, 0711) < 0)
		return err_sys(e, errno, "%s", path);
	/* What is in it is of one daemon's machines. */
	rc = store_lock(*ret_fd);
	if (rc < 0)
		return rc == -EWOULDBLOCK ? err_set(e, -EBUSY, "%s: another daemon uses it", path)
					  : err_sys(e, errno, "%s", path);
	return 0;
}

int daemon_new(const struct daemon_options *options, struct daemon **ret, struct err *e)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int rc = 0;

	if (!d)
		return err_sys(e, ENOMEM, "daemon");
	d->state_fd = d->run_fd = d->kind_fd[0] = d->kind_fd[1] = d->seccomp_fd = d->image_fd =
		d->net_fd = -1;
	d->program = program_open();
	LIST_INIT(&d->retired);
	STAILQ_INIT(&d->removals);
	TAILQ_INIT(&d->opened);
	d->message = malloc(sizeof(*d->message));
	d->loop = event_base_new();
	d->events = event_log_new(EVENTS_MAX, EVENTS_OWN_MAX);
	if (!d->loop || !d->events || !d->message)
		rc = err_sys(e, ENOMEM, "daemon");
	if (rc == 0)
		rc = opener_new(&d->opener, e);
	for (int kind = 0; rc == 0 && kind < 2; kind++)
		rc = launch_spare_new(d->loop, kind, d->program, &d->spares[kind], e);
	for (int kind = 0; rc == 0 && kind < 2; kind++)
		rc = config_init(kind, &d->defaults[kind], e);
	if (rc == 0)
		rc = store_open(options->state_dir, &d->state_fd, e);
	if (rc == 0)
		rc = open_run_dir(options->run_dir, &d->run_fd, e);
	if (rc == 0)
		rc = event_log_keep(d->events, d->run_fd, e);
	if (rc == 0)
		rc = autostart_new(d, &d->autostart, e);
	if (rc == 0 && cgroup_host_new(CGROUP_PARENT, &d->cgroups, &d->cgroups_why) < 0)
		log_line(LOG_LEVEL_NOTICE, "no limits are possible: %s", d->cgroups_why.text);
	if (rc == 0)
		ids_read(d);
	if (rc == 0)
		rc = classes_init(d, e);
	if (rc == 0)
		rc = tree_init(d, e);
	if (rc == 0)
		rc = load_all(d, e);
	if (rc < 0) {
		daemon_free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	importers_free(d);
	while (d->images && d->images->nchildren)
		object_remove(d->images->children[0]);
	if (d->images)
		object_remove(d->images);
	while (d->nets && d->nets->nchildren)
		object_remove(d->nets->children[0]);
	if (d->nets)
		object_remove(d->nets);
	for (int kind = 0; kind < 2; kind++) {
		while (d->machines[kind] && d->machines[kind]->nchildren)
			object_remove(d->machines[kind]->children[0]);
		if (d->machines[kind])
			object_remove(d->machines[kind]);
	}
	if (d->host)
		object_remove(d->host);
	if (d->root)
		object_remove(d->root);
	links_free_retired(d);
	for (int i = 0; i < CLASS_COUNT; i++)
		free(d->classes[i].files);
	for (int k = 0; k < PART_KINDS; k++)
		free(d->part_classes[k].files);
	autostart_free(d->autostart);
	cgroup_host_free(d->cgroups);
	opener_free(d->opener);
	for (int kind = 0; kind < 2; kind++) {
		spare_free(d->spares[kind]);
		config_free(&d->defaults[kind]);
	}
	event_log_free(d->events);
	free(d->message);
	if (d->loop)
		event_base_free(d->loop);
	int fds[] = { d->state_fd, d->run_fd, d->kind_fd[0], d->kind_fd[1],
		      d->image_fd, d->net_fd, d->seccomp_fd, d->program };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(d);
}

void daemon_shutdown(struct daemon *d)
{
	d->shutting_down = true;
	autostart_stop(d->autostart);
	object_changed_by(d->root, CHANGE_STATE);
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(d->machines[kind]->children[i]);

			restart_call_off(m);
			if (!m->link)
				continue;
			restart_told(m, true);
			link_verb(m->link, NULL, VERB_STOP, SHUTDOWN_SECONDS, NULL);
		}
	daemon_machine_ended(d);
}

void daemon_machine_ended(struct daemon *d)
{
	if (d->shutting_down && d->running == 0)
		event_base_loopexit(d->loop, NULL);
}

static bool on_thread_of_ours(const struct machine *m)
{
	return m->config.isolation == ISOLATION_THREAD && machine_active(m);
}

static bool threads_running(const struct daemon *d)
{
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++)
			if (on_thread_of_ours(object_machine(d->machines[kind]->children[i])))
				return true;
	return false;
}

void daemon_end_threads(struct daemon *d)
{
	/* What has not stopped by then was killed, and has had the time to go. */
	const struct timeval limit = { .tv_sec = SHUTDOWN_SECONDS + 5 };
	bool over = false;
	struct event *timer = evtimer_new(d->loop, on_time_over, &over);

	d->shutting_down = true; /* nothing starts, or starts again */
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(d->machines[kind]->children[i]);

			if (!on_thread_of_ours(m) || !m->link)
				continue;
			restart_leave(m);
			link_verb(m->link, NULL, VERB_STOP, SHUTDOWN_SECONDS, NULL);
		}
	if (timer && evtimer_add(timer, &limit) == 0)
		while (!over && threads_running(d))
			event_base_loop(d->loop, EVLOOP_ONCE);
	if (timer)
		event_free(timer);
}

/*
 * Who waits is answered; what was written without being committed is not to be committed by closing
 * it now.
 */
static void object_release(struct object *o)
{
	struct handle *h;

	if (o->class->states)
		waiters_fail(o);
	LIST_FOREACH(h, &o->handles, link)
	text_clear(&h->draft);
	for (size_t i = 0; i < o->nchildren; i++)
		object_release(o->children[i]);
}

void daemon_release(struct daemon *d)
{
	for (int kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < d->machines[kind]->nchildren; i++) {
			struct machine *m = object_machine(d->machines[kind]->children[i]);

			if (m->link)
				link_release(m->link);
		}
	for (size_t i = 0; i < d->images->nchildren; i++)
		image_release(object_image(d->images->children[i]));
	object_release(d->root);
}
