/* Machines that an earlier daemon has left: from the state directory, and their monitors. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backends/monitor/wire.h"
#include "fs/attr/attr.h"
#include "fs/daemon.h"
#include "fs/exec/exec.h"
#include "fs/machine/link.h"
#include "fs/machine/machine.h"
#include "fs/machine/part.h"
#include "fs/store/config_yaml.h"
#include "fs/store/kept.h"
#include "fs/store/store.h"

static int machine_read_config(struct machine *m, struct err *e)
{
	struct text text = TEXT_INIT;
	int rc = store_read(machine_dir(m), "config.yaml", &text);

	if (rc < 0)
		rc = err_sys(e, -rc, "config.yaml on disk");
	else if (text.len < 4 || strcmp(text.data + text.len - 4, "...\n"))
		rc = err_set(e, -EIO, "config.yaml on disk: its end, the line \"...\", is missing");
	else {
		rc = config_parse(m->kind, text_str(&text), text.len, &m->config, NULL, e);
		if (rc < 0)
			err_prefix(e, "config.yaml on disk: ");
	}
	text_free(&text);
	if (rc < 0 && config_init(m->kind, &m->config, NULL) < 0)
		return -EIO;
	return rc;
}

/* Reads meta; on failure says why in *why, and the machine is new but for its directory. */
static int machine_read_meta(struct machine *m, const struct text *text, int rc, struct meta *ret,
			     struct err *why)
{
	const struct object *other;
	unsigned format;

	if (rc == 0 && sscanf(text_str(text), "format %u", &format) == 1 && format != 1)
		return err_set(why, -EIO,
			       "meta on disk is of format %u, and this version knows 1 only",
			       format);
	if (rc == 0)
		rc = meta_parse(text_str(text), ret);
	if (rc < 0)
		return err_set(why, -EIO, "meta on disk cannot be read: %s", strerror(-rc));
	other = object_find(m->object.daemon, ret->id);
	if (other)
		return err_set(why, -EIO, "meta on disk is that of %s, too", other->name);
	return 0;
}

int machine_load(struct daemon *d, enum machine_kind kind, const char *name, bool anew,
		 struct err *e)
{
	struct machine *m = machine_new(kind);
	struct text text = TEXT_INIT;
	struct meta meta = { 0 };
	struct err why = { 0 };
	int fd, rc;

	if (!m)
		return err_sys(e, ENOMEM, "%s", name);
	m->object.daemon = d;
	fd = openat(d->kind_fd[kind], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 ? -errno : store_read(fd, "meta", &text);
	if (fd >= 0)
		machine_keep_dir(m, fd);
	rc = machine_read_meta(m, &text, rc, &meta, &why);
	if (rc < 0 && !anew) {
		rc = 1;
		goto fail;
	}
	if (rc < 0) {
		/* Whose it was is unknown: only root may touch it until it is removed. */
		meta = (struct meta){ .owner.mode = 0700, .id = daemon_new_id(d, e) };
		rc = meta.id ? 0 : e->code;
		if (rc < 0)
			goto fail;
	}
	identity_make(&m->identity);
	if (*meta.uuid) {
		memcpy(m->identity.uuid, meta.uuid, sizeof(m->identity.uuid));
		m->identity.created = meta.created;
	}
	rc = fd < 0 ? config_init(kind, &m->config, &why)
		    : machine_read_config(m, why.code ? NULL : &why);
	if (rc < 0 && !why.code)
		err_set(&why, rc, "config.yaml on disk cannot be read");
	rc = machine_insert(m, d, meta.id, name, e);
	if (rc < 0)
		goto fail;
	m->object.owner = meta.owner;
	rc = execs_attach(m, e);
	if (rc < 0) {
		object_remove(&m->object);
		text_free(&text);
		return rc;
	}
	if (meta.files)
		parts_load(m, meta.files);
	if (meta.files)
		meta_parse_files(&m->object, &m->identity, meta.files);
	text_free(&text);
	m->broken = why;
	return 0;
fail:
	machine_free(&m->object);
	text_free(&text);
	return rc;
}

/* Whether a run has ended of which no daemon has told. */
static bool machine_read_ending(struct machine *m)
{
	struct text text = TEXT_INIT;
	bool torn = false;

	if (store_read(machine_dir(m), "exit", &text) == 0 && text.len) {
		m->has_ending = true;
		torn = ending_parse(text_str(&text), &m->ending) < 0;
	}
	text_free(&text);
	if (torn) {
		m->ending = (struct ending){ .kind = ENDING_FAILED };
		snprintf(m->ending.why, sizeof(m->ending.why), "its monitor or the host went down");
		machine_record_ending(m);
	}
	return torn || (m->has_ending && link_exists(m));
}

/* What the daemon before would have done at the end of the run, or was about to do. */
static void recover_ended(struct machine *m, bool unseen, bool waited)
{
	char text[320], detail[400];

	if (unseen) {
		ending_print(&m->ending, text, sizeof(text));
		snprintf(detail, sizeof(detail), "%s %s", state_words[m->state], text);
		kept_event(&m->object, "state", detail);
	}
	if (waited)
		restart_decide(m, NULL);
	else if (unseen && link_exists(m) && m->object.daemon->same_boot)
		restart_decide(m, &m->ending);
	link_unlink(m);
	restart_tell(m);
	if (unseen || ephemeral_marked(m))
		machine_over(m);
}

static void recover_rest(struct machine *m, bool waited)
{
	bool unseen = machine_read_ending(m);
	bool failed = m->has_ending && m->ending.kind == ENDING_FAILED;

	machine_sweep(m);
	execs_settle(m, true);
	m->state = m->broken.code || failed ? STATE_FAILED : STATE_STOPPED;
	if (m->broken.code) {
		link_unlink(m);
		return;
	}
	if (failed) {
		struct err e = { 0 };

		err_set(&e, -EIO, "%s", m->ending.why);
		object_refuse(&m->object, &e);
	}
	recover_ended(m, unseen, waited);
}

void machine_recover(struct machine *m)
{
	struct daemon *d = m->object.daemon;
	bool waited = restart_load(m), made = false;
	char name[64];

	/* Of parts that meta does not know: it was lost, or somebody has edited config.yaml. */
	if (parts_make(m, &m->config, NULL, &made, NULL) == 0 && made)
		machine_save_meta(m, NULL);

	if (m->broken.code) {
		m->broken.code = -EIO;
		object_refuse(&m->object, &m->broken);
	}
	if (link_connect(m, &m->link) < 0) {
		recover_rest(m, waited);
		return;
	}
	m->state = STATE_STARTING; /* HELLO says what it really is */
	m->runs_as = m->object.owner.uid;
	d->running++;
	machine_cgroup_name(m, name);
	if (d->cgroups && cgroup_open(d->cgroups, name, &m->cgroup, NULL) < 0)
		m->cgroup = NULL;
	/* A daemon that was killed may have applied what it did not come to keep. */
	if (m->cgroup)
		cgroup_limit_again(m->cgroup, &m->config);
}
